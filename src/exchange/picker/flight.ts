/**
 * How many pieces may be on their way at once. Few, so that each arrives soon and can be passed on, instead of all of them
 * creeping side by side over a narrow link; but on a wide or long one as many as arrive within a tenth of a second.
 */
const periodMs = 100

export class Flight {
  readonly #least: number
  readonly #most: number
  #sinceMs = Number.NEGATIVE_INFINITY
  #arrived = 0
  /** In the whole period before this one. */
  #before = 0

  constructor({ least, most }: { least: number; most: number }) {
    this.#least = least
    this.#most = most
  }

  arrived(nowMs: number): void {
    this.#turn(nowMs)
    this.#arrived++
  }

  size(nowMs: number): number {
    this.#turn(nowMs)
    return Math.min(this.#most, Math.max(this.#least, this.#arrived, this.#before))
  }

  #turn(nowMs: number): void {
    const periods = Math.floor((nowMs - this.#sinceMs) / periodMs)
    if (periods < 1) return
    this.#before = periods === 1 ? this.#arrived : 0
    this.#arrived = 0
    this.#sinceMs = periods === 1 ? this.#sinceMs + periodMs : nowMs
  }
}
