/**
 * Who may talk now: usually one peer at a time, so that several do not bring the same. But nobody is waited for: when who
 * came last has got nowhere for a while the next comes in beside it, one of those that wait by chance, and when there are as
 * many as may be the one that got nowhere for longest gives way.
 *
 * Age decides and not the bytes that moved, since a peer can make as many of those as it likes.
 */
import type { Clock } from '../base/base.ts'
import { ChannelBrokenError } from '../wire/wire.ts'

export interface Slot extends Disposable {
  /** Aborts when it has to give way. */
  readonly signal: AbortSignal
  /** It got somewhere, and is not given away for a while. */
  advanced(): void
}

interface SlotsOptions {
  /** At once. */
  limit: number
  /** Who got nowhere for so long is not waited for. */
  patienceMs: number
  /** Who waits for longer is turned away. Default never. */
  maxWaitMs?: number
  clock: Clock
  random: () => number
}

interface Waiting {
  sinceMs: number
  enter(slot: Slot | undefined): void
}

const maxWaiting = 64

export class Slots {
  readonly #options: SlotsOptions
  readonly #held = new Map<string, { advancedMs: number; giveWay: AbortController }>()
  readonly #waiting = new Map<string, Waiting>()
  readonly #closing = new AbortController()
  #watching = false

  constructor(options: SlotsOptions) {
    this.#options = options
  }

  /** Resolves to nothing when the peer is in already, or waits, or was turned away. */
  async enter(peer: string): Promise<Slot | undefined> {
    if (this.#closing.signal.aborted || this.#held.has(peer) || this.#waiting.has(peer)) return undefined
    if (this.#waiting.size === 0 && this.#roomInMs() <= 0) return this.#admit(peer)
    // At random, so that a crowd of others keeps nobody out for certain.
    if (this.#waiting.size >= maxWaiting) this.#pick()?.enter(undefined)
    const { promise, resolve } = Promise.withResolvers<Slot | undefined>()
    this.#waiting.set(peer, { sinceMs: this.#options.clock.now(), enter: resolve })
    this.#watch()
    return await promise
  }

  /** Turns away whoever waits, and everyone after that. */
  close(): void {
    this.#closing.abort()
    for (const { enter } of this.#waiting.values()) enter(undefined)
    this.#waiting.clear()
  }

  #admit(peer: string): Slot {
    const { clock, limit } = this.#options
    const [oldest] = [...this.#held].sort(([, a], [, b]) => a.advancedMs - b.advancedMs)
    if (oldest !== undefined && this.#held.size >= limit) {
      this.#held.delete(oldest[0])
      oldest[1].giveWay.abort(new ChannelBrokenError('it had to give way to another member'))
    }
    const held = { advancedMs: clock.now(), giveWay: new AbortController() }
    this.#held.set(peer, held)
    return {
      signal: held.giveWay.signal,
      advanced: () => {
        held.advancedMs = clock.now()
      },
      [Symbol.dispose]: () => {
        if (this.#held.get(peer) === held) this.#held.delete(peer)
        this.#next()
      },
    }
  }

  /** Until the next may come in; 0 or less when it may now. */
  #roomInMs(): number {
    const { clock, patienceMs } = this.#options
    const last = Math.max(...[...this.#held.values()].map(({ advancedMs }) => advancedMs))
    return last + patienceMs - clock.now()
  }

  #next(): void {
    const { clock, maxWaitMs = Number.POSITIVE_INFINITY } = this.#options
    for (const [peer, { sinceMs, enter }] of this.#waiting) {
      if (clock.now() - sinceMs < maxWaitMs) continue
      this.#waiting.delete(peer)
      enter(undefined)
    }
    while (this.#waiting.size > 0 && this.#roomInMs() <= 0) {
      const next = this.#pick()
      next?.enter(this.#admit(next.peer))
    }
  }

  /** Takes one that waits out of the line. */
  #pick(): (Waiting & { peer: string }) | undefined {
    const found = [...this.#waiting][Math.floor(this.#options.random() * this.#waiting.size)]
    if (found === undefined) return undefined
    const [peer, waiting] = found
    this.#waiting.delete(peer)
    return { ...waiting, peer }
  }

  /** While somebody waits, looks again whenever there may be room. */
  #watch(): void {
    if (this.#watching || this.#waiting.size === 0) return
    this.#watching = true
    const { clock } = this.#options
    const { signal } = this.#closing
    const again = (): void => {
      this.#watching = false
      this.#next()
      this.#watch()
    }
    clock.sleep(Math.max(1, this.#roomInMs()), { signal }).then(again, () => undefined)
  }
}
