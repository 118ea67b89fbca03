/** Who came to this node and may do nothing yet. Keys cost nothing, so the list is bounded, and by host: the oldest go first. */
import { type Clock, networkOf, WaitingRoom } from '../../src/base/base.ts'
import type { Newcomer } from '../../src/swarm/swarm.ts'

export interface WaitingGuest {
  peer: string
  /** What it says it is called, and where. */
  name?: string
  site?: string
  /** The IP address that it came from. */
  from: string
  /** Since when it comes. */
  sinceMs: number
  /** When it was here last. */
  seenMs: number
  /** Whether it has an invitation, which carries no approval. */
  isInvited: boolean
}

interface Entry extends WaitingGuest {
  addresses: string[]
  leave(): void
}

const room = { most: 256, mostOfOne: 16 }
/** A guest tries again every minute at least. */
const forgottenMs = 60 * 60_000

export class WaitingGuests {
  readonly #clock: Clock
  readonly #room = new WaitingRoom(room)
  readonly #guests = new Map<string, Entry>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add({ peer, name, site, from, addresses, isInvited }: Newcomer): void {
    const known = this.#guests.get(peer)
    known?.leave()
    const nowMs = this.#clock.now()
    const leave = this.#room.enter(networkOf(from), () => this.#guests.delete(peer))
    this.#guests.set(peer, {
      peer,
      from,
      addresses,
      isInvited,
      leave,
      sinceMs: known?.sinceMs ?? nowMs,
      seenMs: nowMs,
      ...(name === undefined ? {} : { name }),
      ...(site === undefined ? {} : { site }),
    })
  }

  /** Takes one out, and tells where it can be dialled; none of one that does not wait. */
  take(peer: string): string[] {
    const known = this.#guests.get(peer)
    known?.leave()
    this.#guests.delete(peer)
    return known?.addresses ?? []
  }

  /** Those that were here lately, the latest comer last. */
  list(): WaitingGuest[] {
    const nowMs = this.#clock.now()
    for (const { peer, seenMs } of [...this.#guests.values()])
      if (nowMs - seenMs > forgottenMs) this.take(peer)
    return [...this.#guests.values()]
      .map(({ addresses: _, leave: __, ...guest }) => guest)
      .sort((a, b) => a.sinceMs - b.sinceMs)
  }
}
