/** Bytes that a client has, over time. */
export interface Moment {
  atMs: number
  bytes: number
}

export type Curve = readonly Moment[]
