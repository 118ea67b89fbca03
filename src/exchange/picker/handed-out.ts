/** What a seeder has given away of one blob, so that its uplink carries each piece about once while others pass them on. */
import type { Bitfield } from '../protocol/bitfield.ts'

/** A downloader that leaves sooner after it got a piece has hardly passed it on. */
const passedOnMs = 2000

export class HandedOut {
  /** Live: pieces are added as they come. */
  readonly held: Bitfield
  readonly downloaders = new Set<string>()
  /** This node fetches the blob from its origin: what it has, nobody else has yet. */
  isOrigin = false
  readonly #times: Uint16Array
  readonly #queued: Uint16Array
  readonly #last: ({ downloader: string; atMs: number } | undefined)[] = []
  /** How many pieces each downloader was given, also of those that have no place any more. */
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

  /** Whether this downloader should rather take another piece: one that nobody was given. */
  isTaken(piece: number): boolean {
    return this.times(piece) + (this.#queued[piece] ?? 0) > 0
  }

  /** Only who has what nobody else has, and more than one downloader, gains by spreading them. */
  get spreads(): boolean {
    return this.#fresh > 0 && this.downloaders.size > 1 && this.isFirst
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

  hand(piece: number, downloader: string, atMs: number): void {
    const times = this.times(piece)
    if (times === 0) this.#fresh--
    this.#times[piece] = Math.min(times + 1, 0xffff)
    this.#last[piece] = { downloader, atMs }
    this.#given.set(downloader, (this.#given.get(downloader) ?? 0) + 1)
  }

  /** `undefined` for one that never had a place. */
  given(downloader: string): number | undefined {
    return this.#given.get(downloader)
  }

  seat(downloader: string): void {
    this.downloaders.add(downloader)
    if (!this.#given.has(downloader)) this.#given.set(downloader, 0)
  }

  /** It has lost its place, and goes on downloading elsewhere. */
  unseat(downloader: string): void {
    this.downloaders.delete(downloader)
  }

  /** The downloader will not come again. */
  forget(downloader: string): void {
    this.#given.delete(downloader)
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

  /** What only this downloader got, and just now, counts as not handed out. */
  leave(downloader: string, nowMs: number): void {
    if (!this.downloaders.delete(downloader)) return
    for (const [piece, last] of this.#last.entries()) {
      if (last?.downloader !== downloader || this.times(piece) !== 1 || nowMs - last.atMs > passedOnMs)
        continue
      this.#times[piece] = 0
      this.#last[piece] = undefined
      this.#fresh++
    }
  }
}
