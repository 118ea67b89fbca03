/** Peers that failed one transfer: not asked again before a time, which doubles with each failure, or never. */
import type { Clock } from '../../base/base.ts'

export const leastCoolDownMs = 500
const mostCoolDownMs = 10_000
const maxRemembered = 1024

export class CoolDowns {
  readonly #clock: Clock
  readonly #peers = new Map<string, { untilMs: number; forMs: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether the peer is not to be asked yet. */
  has(peer: string): boolean {
    return (this.#peers.get(peer)?.untilMs ?? 0) > this.#clock.now()
  }

  add(peer: string, how: 'for-now' | 'for-good' = 'for-now'): void {
    const before = this.#peers.get(peer)
    const forMs = Math.min(mostCoolDownMs, before === undefined ? leastCoolDownMs : 2 * before.forMs)
    const untilMs = how === 'for-good' ? Number.POSITIVE_INFINITY : this.#clock.now() + forMs
    const [oldest] = this.#peers.keys()
    if (this.#peers.size >= maxRemembered && oldest !== undefined) this.#peers.delete(oldest)
    this.#peers.set(peer, { untilMs, forMs })
  }
}
