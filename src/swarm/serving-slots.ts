/** Bodies being sent to members: so many at once, and none that keeps others waiting for one that hardly takes any. */
import type { Clock } from '../base/base.ts'

export interface Slot extends Disposable {
  /** Aborts when the slot goes to another. */
  readonly signal: AbortSignal
  /** So many bytes more were sent. */
  sent(bytes: number): void
}

interface Held {
  peer: string
  sinceMs: number
  bytes: number
  stop: AbortController
}

/** Whoever takes less, after this long, gives way when all are taken. */
const slowBytesPerSecond = 4096
const graceMs = 5000

export class ServingSlots {
  readonly #total: number
  readonly #perPeer: number
  readonly #clock: Clock
  /** In the order in which they were given. */
  readonly #held = new Set<Held>()

  constructor({ total, perPeer, clock }: { total: number; perPeer: number; clock: Clock }) {
    this.#total = total
    this.#perPeer = perPeer
    this.#clock = clock
  }

  /** `undefined` when there is none for this peer now. */
  take(peer: string): Slot | undefined {
    const mine = this.#countOf(peer)
    if (mine >= this.#perPeer) return undefined
    if (this.#held.size >= this.#total) {
      const victim = this.#slowest() ?? this.#ofTheGreediest(mine)
      if (victim === undefined) return undefined
      this.#held.delete(victim)
      victim.stop.abort(new Error('others wait for the place of one that takes little'))
    }
    const held: Held = { peer, sinceMs: this.#clock.now(), bytes: 0, stop: new AbortController() }
    this.#held.add(held)
    return {
      signal: held.stop.signal,
      sent: (bytes) => {
        held.bytes += bytes
      },
      [Symbol.dispose]: () => void this.#held.delete(held),
    }
  }

  #countOf(peer: string): number {
    return [...this.#held].filter((held) => held.peer === peer).length
  }

  #slowest(): Held | undefined {
    const nowMs = this.#clock.now()
    return [...this.#held].find(({ sinceMs, bytes }) => {
      const ageMs = nowMs - sinceMs
      return ageMs >= graceMs && bytes < (ageMs / 1000) * slowBytesPerSecond
    })
  }

  /** The oldest of the peer with most, where that has more even without it than whoever comes would have. */
  #ofTheGreediest(mine: number): Held | undefined {
    const counts = new Map<string, number>()
    for (const { peer } of this.#held) counts.set(peer, (counts.get(peer) ?? 0) + 1)
    const most = Math.max(0, ...counts.values())
    return most > mine + 1 ? [...this.#held].find(({ peer }) => counts.get(peer) === most) : undefined
  }
}
