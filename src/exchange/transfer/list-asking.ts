/** Whom to ask for the list of a blob's pieces, and when. Pure. */
import { listPackLimit } from '../protocol/list-pack.ts'
import type { PieceHashes } from '../protocol/piece-hashes.ts'
import type { Giver, Holding } from './candidates.ts'

export interface ListAskingOptions<G extends Giver> {
  now(): number
  holding(): Holding<G>[]
  act(command: { type: 'ask-list'; giver: G; from: number } | { type: 'leave'; giver: G }): void
}

/** A peer that has not sent its list for so long does not keep another from being asked. */
const patienceMs = 150
const refusedMs = 1000
/** And one that has not for so long is let go, for what has come of it is in memory. */
const silentMs = 10_000
const maxWaitingBytes = 16 * 1024 * 1024

export class ListAsking<G extends Giver> {
  readonly #options: ListAskingOptions<G>

  constructor(options: ListAskingOptions<G>) {
    this.#options = options
  }

  /** While no list is known. */
  begin(): void {
    // Who has nothing yet that it could give may not know a hash either. Whoever claims most is asked last.
    const able = this.#options
      .holding()
      .filter(({ list, holds }) => list !== 'given' && (holds.held.held > 0 || holds.size === 0))
    able.sort(
      (a, b) => Number(b.holds.held.complete) - Number(a.holds.held.complete) || a.holds.size - b.holds.size,
    )
    this.#askSome(able, 0)
  }

  /** Who holds more than the list tells of may know how it goes on. */
  grow({ known, complete, layout }: PieceHashes, isGood: (giver: Holding<G>) => boolean): void {
    if (complete) return
    const able = this.#options.holding().filter((giver) => {
      const { list, holds, listFrom } = giver
      const isNew = list !== 'given' || listFrom !== known || this.#ageMs(giver) > patienceMs
      return isNew && holds.size === layout.size && holds.held.hasFrom(known) && isGood(giver)
    })
    // In turn: who tells little at a time is not the only one to be asked.
    able.sort((a, b) => a.listAskedMs - b.listAskedMs)
    this.#askSome(able, known)
  }

  ask(giver: G, from = 0): void {
    Object.assign(giver, { list: 'asked', listAskedMs: this.#options.now(), listFrom: from })
    this.#options.act({ type: 'ask-list', giver, from })
  }

  /** A list, or that there is none. */
  answered(giver: G, list: 'given' | 'refused'): void {
    Object.assign(giver, { list, listAskedMs: this.#options.now() })
  }

  /** One first, and twice as many each time that none has answered. */
  #askSome(able: readonly Holding<G>[], from: number): void {
    const asked = this.#options.holding().filter(({ list }) => list === 'asked')
    // Asked anew as a source, it is asked for its list again.
    for (const giver of asked) {
      if (this.#ageMs(giver) > silentMs) this.#options.act({ type: 'leave', giver })
    }
    if (asked.some((giver) => this.#ageMs(giver) < patienceMs)) return
    let waitingBytes = asked.reduce((sum, { holds }) => sum + listPackLimit(holds.size), 0)
    const ready = able.filter(
      (giver) => giver.list !== 'asked' && (giver.list !== 'refused' || this.#ageMs(giver) > refusedMs),
    )
    for (const giver of ready.slice(0, asked.length + 1)) {
      waitingBytes += listPackLimit(giver.holds.size)
      if (waitingBytes > maxWaitingBytes) return
      this.ask(giver, from)
    }
  }

  #ageMs({ listAskedMs }: G): number {
    return this.#options.now() - listAskedMs
  }
}
