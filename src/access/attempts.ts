/** How often may be guessed: failures are counted by account and by address, and whoever had too many has to wait. */
import { type Clock, RecentMap } from '../base/base.ts'

interface Rate {
  /** So many at once. */
  burst: number
  /** And one more after each of these. */
  everyMs: number
}

interface Count {
  left: number
  atMs: number
}

/** Beyond this the longest untouched is forgotten. */
const maxCounted = 10_000
/** As many as are looked at at once. Who fails on, as known addresses may, is not waited for longer than for these. */
const maxOwed = 64

export class Attempts {
  readonly #rate: Rate
  readonly #clock: Clock
  readonly #counts = new RecentMap<string, Count>(maxCounted)

  constructor(rate: Rate, clock: Clock) {
    this.#rate = rate
    this.#clock = clock
  }

  /** How long until the next try; 0 for now. */
  waitMs(name: string): number {
    const { left } = this.#of(name)
    return left >= 1 ? 0 : Math.ceil((1 - left) * this.#rate.everyMs)
  }

  failed(name: string): void {
    const { left, atMs } = this.#of(name)
    this.#counts.set(name, { left: Math.max(left - 1, -maxOwed), atMs })
  }

  /** As of now. */
  #of(name: string): Count {
    const now = this.#clock.now()
    const { burst, everyMs } = this.#rate
    const count = this.#counts.get(name)
    if (count === undefined) return { left: burst, atMs: now }
    return { left: Math.min(burst, count.left + (now - count.atMs) / everyMs), atMs: now }
  }
}
