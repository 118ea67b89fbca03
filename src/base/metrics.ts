/** Where modules report numbers; `node/` declares every name and keeps them. */
export type ReadGauge = () => number | undefined | Promise<number>

export interface Metrics {
  /** Adds `by` (default 1) to a counter. Label values come from small fixed sets, never from a client. */
  count(name: string, labels?: Record<string, string>, by?: number): void
  /** Adds one observation to a histogram, in the unit that its name ends with. */
  observe(name: string, value: number, labels?: Record<string, string>): void
  /** Registers a gauge that is read when metrics are collected; `undefined` is not known yet. */
  gauge(name: string, read: ReadGauge, labels?: Record<string, string>): void
}

export const noMetrics: Metrics = {
  count: () => undefined,
  observe: () => undefined,
  gauge: () => undefined,
}
