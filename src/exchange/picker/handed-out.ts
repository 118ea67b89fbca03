/** What a holder has given away of one blob, so that its uplink carries each piece about once while others pass them on. */
import type { Bitfield } from '../protocol/bitfield.ts'

/** An asker that leaves sooner after it got a piece has hardly passed it on. */
const passedOnMs = 2000

export class HandedOut {
  /** Live: pieces are added as they come. */
  readonly held: Bitfield
  readonly askers = new Set<string>()
  /** This node brings the blob from outside: what it has, nobody else has yet. */
  isOrigin = false
  readonly #times: Uint16Array
  readonly #queued: Uint16Array
  readonly #last: ({ asker: string; atMs: number } | undefined)[] = []
  /** How many pieces each asker was given, also of those that have no place any more. */
  readonly #given = new Map<string, number>()
  /** Pieces that were never handed out. */
  #fresh: number
  #cursor = 0

  constructor(held: Bitfield) {
    this.held = held
    this.#times = new Uint16Array(held.count)
    this.#queued = new Uint16Array(held.count)
    this.#fresh = held.count
  }

  /** How often the piece was handed out. */
  times(piece: number): number {
    return this.#times[piece] ?? 0
  }

  /** Whether this asker should rather take another piece: one that nobody was given. */
  isTaken(piece: number): boolean {
    return this.times(piece) + (this.#queued[piece] ?? 0) > 0
  }

  /** Only who has what nobody else has, and more than one asker, gains by spreading them. */
  get spreads(): boolean {
    return this.#fresh > 0 && this.askers.size > 1 && this.isFirst
  }

  /** Whether what is here comes to the others from here alone. */
  get isFirst(): boolean {
    return this.held.complete || this.isOrigin
  }

  queue(piece: number): void {
    this.#queued[piece] = (this.#queued[piece] ?? 0) + 1
  }

  unqueue(piece: number): void {
    this.#queued[piece] = Math.max(0, (this.#queued[piece] ?? 0) - 1)
  }

  hand(piece: number, asker: string, atMs: number): void {
    const times = this.times(piece)
    if (times === 0) this.#fresh--
    this.#times[piece] = Math.min(times + 1, 0xffff)
    this.#last[piece] = { asker, atMs }
    this.#given.set(asker, (this.#given.get(asker) ?? 0) + 1)
  }

  /** `undefined` for one that never had a place. */
  given(asker: string): number | undefined {
    return this.#given.get(asker)
  }

  seat(asker: string): void {
    this.askers.add(asker)
    if (!this.#given.has(asker)) this.#given.set(asker, 0)
  }

  /** It has lost its place, and goes on downloading elsewhere. */
  unseat(asker: string): void {
    this.askers.delete(asker)
  }

  /** The asker will not come again. */
  forget(asker: string): void {
    this.#given.delete(asker)
  }

  /** Up to `max` pieces that nobody was given or waits for; different ones at every call. */
  suggest(max: number): number[] {
    const found: number[] = []
    if (this.#fresh === 0) return found
    const { count } = this.held
    for (let step = 0; step < count && found.length < max; step++) {
      const piece = this.#cursor
      this.#cursor = this.#cursor + 1 < count ? this.#cursor + 1 : 0
      if (!this.isTaken(piece) && this.held.has(piece)) found.push(piece)
    }
    return found
  }

  /** What only this asker got, and just now, counts as not handed out. */
  leave(asker: string, nowMs: number): void {
    if (!this.askers.delete(asker)) return
    for (const [piece, last] of this.#last.entries()) {
      if (last?.asker !== asker || this.times(piece) !== 1 || nowMs - last.atMs > passedOnMs) continue
      this.#times[piece] = 0
      this.#last[piece] = undefined
      this.#fresh++
    }
  }
}
