/**
 * The first bytes of a blob as a member passes them on while it receives them from outside: to be read at once, although nobody
 * signed anything for them yet. A reader compares them with the first piece before it gives anything that follows.
 */
import { type Layout, layoutOf, pieceLength } from '../protocol/piece-size.ts'

/** Some of them. */
export interface BeginningPart {
  /** Of the whole blob, as the member says. */
  readonly size: number
  /** Where `bytes` lie in the blob. */
  readonly at: number
  readonly bytes: Uint8Array
}

/** What one member is given, and keeps: little enough that it costs the line nothing, and more than a client needs to go on. */
export const maxBeginningBytes = 64 * 1024

/** So many are given one, of one blob: together they are as long as the smallest piece, which the line carries before there is a piece. */
export const maxBeginnings = 4

/** The end of the beginning of such a blob; 0 for one of a single piece, which is withheld until all is proven. */
export function beginningEnd(layout: Layout): number {
  if (layout.count < 2) return 0
  return Math.min(maxBeginningBytes, pieceLength(layout, 0))
}

export class Beginning {
  #layout: Layout | undefined
  #bytes = new Uint8Array()
  #filled = 0
  #giver: string | undefined

  /** Of the blob, as whoever sent its beginning says; `undefined` while nothing has come. */
  get layout(): Layout | undefined {
    return this.#layout
  }

  /** The member that gave it; of several the last. */
  get giver(): string | undefined {
    return this.#giver
  }

  /** Takes what follows on what is here; returns whether it did. */
  add({ size, at, bytes }: BeginningPart, giver: string): boolean {
    const layout = this.#layout ?? layoutOf(size)
    const end = at + bytes.length
    const isNext = at === this.#filled && bytes.length > 0 && layout.size === size
    if (!isNext || end > beginningEnd(layout)) return false
    this.#layout = layout
    this.#giver = giver
    if (at === 0) this.#bytes = new Uint8Array(beginningEnd(layout))
    this.#bytes.set(bytes, at)
    this.#filled = end
    return true
  }

  /** A copy of what is here from `position` to `end`. */
  read(position: number, end: number): Uint8Array | undefined {
    const to = Math.min(this.#filled, end)
    return position < to ? this.#bytes.slice(position, to) : undefined
  }
}
