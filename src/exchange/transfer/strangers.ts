/**
 * Peers that may have one blob and are not asked: for want of a place, or because they failed. Those that were left last are tried
 * last; who failed is not asked again before a time, which doubles with each failure, or never.
 */
import { type Clock, RecentMap } from '../../base/base.ts'

export const leastCoolDownMs = 500
const mostCoolDownMs = 10_000
const maxRemembered = 1024

export class Strangers {
  readonly #clock: Clock
  readonly #known = new Set<string>()
  readonly #cooling = new RecentMap<string, { untilMs: number; forMs: number }>(maxRemembered)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Those that may be asked now. */
  ready(): string[] {
    return [...this.#known].filter((peer) => !this.isCooling(peer))
  }

  has(peer: string): boolean {
    return this.#known.has(peer)
  }

  add(peer: string): void {
    this.#known.delete(peer)
    if (this.#known.size < maxRemembered) this.#known.add(peer)
  }

  delete(peer: string): void {
    this.#known.delete(peer)
  }

  /** Whether the peer is not to be asked yet. */
  isCooling(peer: string): boolean {
    return (this.#cooling.get(peer)?.untilMs ?? 0) > this.#clock.now()
  }

  /** The peer has failed. */
  cool(peer: string, how: 'for-now' | 'for-good' = 'for-now'): void {
    const before = this.#cooling.get(peer)
    const forMs = Math.min(mostCoolDownMs, before === undefined ? leastCoolDownMs : 2 * before.forMs)
    const untilMs = how === 'for-good' ? Number.POSITIVE_INFINITY : this.#clock.now() + forMs
    this.#cooling.set(peer, { untilMs, forMs })
  }
}
