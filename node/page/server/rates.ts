/** How fast counters grow: bytes by the second, smoothed over some seconds, from what was read at intervals. */

interface Reading {
  total: number
  atMs: number
  perSecond: number
}

/** Over this long, two thirds of a rate come from what happened within it. */
const smoothMs = 2_000

export class Rates {
  readonly #maxCounters: number
  readonly #readings = new Map<string, Reading>()

  constructor(maxCounters: number) {
    this.#maxCounters = maxCounters
  }

  /** Notes where a counter stands and returns how fast it grows. One that is lower than it was has begun anew. */
  read(key: string, total: number, atMs: number): number {
    const before = this.#readings.get(key)
    const passedMs = before === undefined ? 0 : atMs - before.atMs
    if (before !== undefined && passedMs <= 0) return before.perSecond
    let perSecond = 0
    if (before !== undefined && total >= before.total) {
      const now = ((total - before.total) / passedMs) * 1000
      const weight = 1 - Math.exp(-passedMs / smoothMs)
      perSecond = before.perSecond + weight * (now - before.perSecond)
    }
    this.#readings.delete(key)
    this.#readings.set(key, { total, atMs, perSecond: perSecond < 1 ? 0 : perSecond })
    const [oldest] = this.#readings.keys()
    if (this.#readings.size > this.#maxCounters && oldest !== undefined) this.#readings.delete(oldest)
    return perSecond < 1 ? 0 : perSecond
  }
}
