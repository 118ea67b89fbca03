/** What the API answers about the last hour of this node. Times are milliseconds since the epoch. */

type BySource = Record<'local' | 'peer' | 'upstream', number>

export interface MinuteFacts {
  fromMs: number
  toMs: number
  /** That clients read, by where they came from. */
  bytes: BySource
  pushedBytes: number
  /** Manifests and blobs. */
  pulls: BySource
  failed: number
}

/** Pulls of one image that failed. */
export interface FailureFacts {
  kind: 'manifest' | 'blob'
  repository: string
  /** A tag or a digest, as it was asked for. */
  reference: string
  code: string
  /** As of the last time. */
  reason: string
  times: number
  firstMs: number
  lastMs: number
  client?: string
}

export interface HourAnswer {
  nowMs: number
  /** The oldest first; the last is not over. */
  minutes: MinuteFacts[]
  /** The latest first. */
  failures: FailureFacts[]
}
