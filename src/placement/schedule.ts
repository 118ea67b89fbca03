/** When the keeper looks at everything again, and when at what was missing: decisions only, told the time. */

const firstRetryMs = 2_000
const lastRetryMs = 5 * 60_000
/** The members that join when a line comes back are not asked all at once. */
const joinJitterMs = 1_000
const usualSweepMs = 15 * 60_000
/** Looking at everything may take this part of the time. */
const sweepShare = 0.02

export class Schedule {
  readonly #random: () => number
  #sweepAtMs = 0
  #retryAtMs = Number.POSITIVE_INFINITY
  #pauseMs = firstRetryMs

  /** `random` is from 0 to 1. */
  constructor(random: () => number) {
    this.#random = random
  }

  get nextMs(): number {
    return Math.min(this.#sweepAtMs, this.#retryAtMs)
  }

  isSweepDue(nowMs: number): boolean {
    return nowMs >= this.#sweepAtMs
  }

  isRetryDue(nowMs: number): boolean {
    return nowMs >= this.#retryAtMs
  }

  sweepSoon(): void {
    this.#sweepAtMs = 0
  }

  /** A change that comes during the sweep asks for another one. */
  sweepBegins(): void {
    this.#sweepAtMs = Number.POSITIVE_INFINITY
    this.#retryAtMs = Number.POSITIVE_INFINITY
  }

  /** The next one comes within `withinMs`, unless sweeps are long. */
  sweepEnded(tookMs: number, nowMs: number, withinMs = usualSweepMs): void {
    const pauseMs = this.#jittered(Math.max(Math.min(usualSweepMs, withinMs), tookMs / sweepShare))
    this.#sweepAtMs = Math.min(this.#sweepAtMs, nowMs + pauseMs)
  }

  /** Someone came who may hold what is missing. */
  retrySoon(nowMs: number): void {
    this.#pauseMs = firstRetryMs
    this.#retryAtMs = Math.min(this.#retryAtMs, nowMs + this.#random() * joinJitterMs)
  }

  retryBegins(): void {
    this.#retryAtMs = Number.POSITIVE_INFINITY
  }

  /** Some of what is missing was on its way, and is to go on. */
  roundMoved(): void {
    this.#pauseMs = firstRetryMs
  }

  /** After a round: the pause grows for as long as something is missing. */
  planRetry(isMissing: boolean, nowMs: number): void {
    if (!isMissing) {
      this.#retryAtMs = Number.POSITIVE_INFINITY
      this.#pauseMs = firstRetryMs
    } else if (this.#retryAtMs === Number.POSITIVE_INFINITY) {
      this.#retryAtMs = nowMs + this.#jittered(this.#pauseMs)
      this.#pauseMs = Math.min(lastRetryMs, this.#pauseMs * 2)
    }
  }

  #jittered(ms: number): number {
    return ms * (0.8 + 0.4 * this.#random())
  }
}
