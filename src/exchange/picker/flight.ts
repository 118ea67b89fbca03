/**
 * How many pieces may be on their way at once. A few, whatever the link: a blob has at least some hundred pieces, so each of few
 * arrives soon against the time of the whole, and is passed on, while the link is not idle until the word comes back that one has
 * arrived. More where that word takes long against a piece: what arrives while the quickest piece was on its way, or within a
 * quarter of a second, as messages wait behind data in the queues of links.
 */

/** A delay that costs a swarm nothing: so much may always be on its way. */
const leastHorizonMs = 250
/** And no more than so much, however long the way. */
const mostHorizonMs = 2000
/** Of the last so many arrivals the rate is made, once there are a few. */
const remembered = 32
const few = 4
/** More than what keeps the link busy, or it would take long to find out how much that is. */
const growth = 1.25

export class Flight {
  readonly #least: number
  readonly #most: number
  /** When the last ones arrived, as a ring. */
  readonly #arrivals: number[] = []
  #next = 0
  #onTheirWay = 0
  #quickestMs = Number.POSITIVE_INFINITY

  constructor({ least, most }: { least: number; most: number }) {
    this.#least = least
    this.#most = most
  }

  begin(nowMs: number): void {
    // After a pause nothing is known of the way, and the pause is no part of any rate.
    if (this.#onTheirWay === 0 && nowMs - this.#lastMs > mostHorizonMs) this.#forget()
    this.#onTheirWay++
  }

  /** One that was begun then is there, or given up. */
  end(beganMs: number, nowMs: number, { arrived = true } = {}): void {
    this.#onTheirWay = Math.max(0, this.#onTheirWay - 1)
    if (!arrived) return
    this.#arrivals[this.#next] = nowMs
    this.#next = (this.#next + 1) % remembered
    this.#quickestMs = Math.min(this.#quickestMs, nowMs - beganMs)
  }

  size(nowMs: number): number {
    const { length } = this.#arrivals
    if (length < few) return this.#least
    const oldestMs = this.#arrivals[length < remembered ? 0 : this.#next] ?? nowMs
    // The first of them only begins the time in which the others came.
    const perMs = (length - 1) / Math.max(1, nowMs - oldestMs)
    const horizonMs = Math.min(mostHorizonMs, Math.max(leastHorizonMs, this.#quickestMs * growth))
    return Math.min(this.#most, Math.max(this.#least, Math.floor(1 + perMs * horizonMs)))
  }

  get #lastMs(): number {
    const { length } = this.#arrivals
    return this.#arrivals[(this.#next + length - 1) % Math.max(1, length)] ?? Number.NEGATIVE_INFINITY
  }

  #forget(): void {
    this.#arrivals.length = 0
    this.#next = 0
    this.#quickestMs = Number.POSITIVE_INFINITY
  }
}
