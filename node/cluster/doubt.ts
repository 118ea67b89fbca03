/**
 * For how long unknown names may be answered with "come again" since members are silent. Any may fall silent whenever it is asked,
 * and identities cost nothing, so it is counted for all of them together: one that is cut off is gone long before that is over.
 */
import { TokenBucket } from '../../src/base/base.ts'

/** What is asked within so short a time is doubted together. */
const stretchMs = 1_000
const mostMs = 60_000
/** Of the time after that. */
const share = 1 / 5

export class Doubt {
  readonly #left: TokenBucket
  #untilMs = Number.NEGATIVE_INFINITY

  constructor(nowMs: number) {
    this.#left = new TokenBucket({ bytesPerSecond: 1000 * share, burstBytes: mostMs, nowMs })
  }

  isAllowed(nowMs: number): boolean {
    if (nowMs < this.#untilMs) return true
    if (this.#left.waitMs(nowMs) > 0) return false
    this.#left.take(stretchMs, nowMs)
    this.#untilMs = nowMs + stretchMs
    return true
  }
}
