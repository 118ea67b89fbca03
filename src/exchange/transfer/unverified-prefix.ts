/**
 * What a reader has given before the piece that it lies in was proven: it is compared with that piece, once it is here, before
 * anything behind it is given. A piece that was written as it came needs no comparing.
 */
import { type Layout, pieceAt } from '../protocol/piece-size.ts'

/** A piece as it comes from the origin. */
export interface ComingPiece {
  /** Where it lies in the blob. */
  readonly start: number
  readonly bytes: Uint8Array
  filled: number
  /** Its memory went where it is written as it stands. Not when it breaks off, nor when others gave the piece first. */
  isKept: boolean
}

interface Readable {
  chunks(start: number, end: number, options: { signal: AbortSignal }): AsyncIterable<Uint8Array>
}

/** Where it was read, so that a large piece is not in memory once more for each reader. */
interface Given {
  readonly piece: ComingPiece
  readonly start: number
  end: number
}

export class UnverifiedPrefix {
  #given: Given[] = []

  /** Whether nothing is left to compare. */
  get isEmpty(): boolean {
    return this.#given.every(({ piece }) => piece.isKept)
  }

  /** The piece that all of it lies in. */
  pieceIn(layout: Layout): number {
    return pieceAt(layout, this.#given[0]?.start ?? 0)
  }

  /** Bytes of `piece` that follow on what is here, in the same piece of the blob. */
  add(start: number, bytes: number, piece: ComingPiece): void {
    if (this.isEmpty) this.#given = []
    const end = start + bytes
    const last = this.#given.at(-1)
    if (last?.piece === piece) last.end = end
    else this.#given.push({ piece, start, end })
  }

  /** Whether the blob has the same bytes there; if so, there is nothing to compare any more. */
  async isIn(blob: Readable, options: { signal: AbortSignal }): Promise<boolean> {
    for (const given of this.#given) if (!(await isSame(given, blob, options))) return false
    this.#given = []
    return true
  }
}

async function isSame(
  { piece, start, end }: Given,
  blob: Readable,
  options: { signal: AbortSignal },
): Promise<boolean> {
  if (piece.isKept) return true
  // Nothing is left of a piece that went to be written, and was not.
  if (piece.bytes.length === 0) return false
  const given = piece.bytes.subarray(start - piece.start, end - piece.start)
  let at = 0
  for await (const chunk of blob.chunks(start, end, options)) {
    if (Buffer.compare(chunk, given.subarray(at, at + chunk.length)) !== 0) return false
    at += chunk.length
  }
  return at === given.length
}
