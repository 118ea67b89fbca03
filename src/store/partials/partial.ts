/** A blob on its way in: its verified pieces in a file without a digest's name, until the whole of it is proven. */
import type { Digest } from '../../oci/oci.ts'

/** What a partial blob is checked against. */
export interface PartialPlan {
  digest: Digest
  size: number
  /** All pieces have this length but the last, which has the rest. */
  pieceBytes: number
  /** The SHA-256 of each piece from the first on, one after the other, as far as they are known: `learn` adds to them. */
  hashes: Uint8Array
  /** Pieces that may be here beside those that an earlier run noted; they are hashed like these. */
  claimed?: readonly number[]
}

export interface Partials {
  /**
   * Begins a partial blob, or goes on with what an earlier run kept of it: pieces that still hash right are there at once.
   * One at a time for each digest. Throws StoreFullError when the disk has no room for all of it.
   */
  open(plan: PartialPlan): Promise<PartialBlob>
  /** Digests of which an earlier run kept a part, with how long nobody has written to it. */
  list(): Promise<{ digest: Digest; size: number; idleMs: number }[]>
  /** Removes what was kept of a digest that is not open; returns false when there was nothing. */
  drop(digest: Digest): Promise<boolean>
}

/** Disposing of it keeps what is there for a later `open`. */
export interface PartialBlob extends AsyncDisposable {
  readonly plan: PartialPlan
  /** Whether the piece is here and verified. */
  has(piece: number): boolean
  /** How many are. */
  readonly held: number
  /**
   * Hashes a whole piece off the main thread and writes it if it is right; false, and nothing written, when it is not.
   * The chunks' memory is taken over; `free` gets what may be used again of it. Writing a piece that is here already
   * is true and does nothing.
   * Throws StoreFullError; what was there stays.
   */
  write(piece: number, chunks: Uint8Array[], free?: (memory: ArrayBuffer) => void): Promise<boolean>
  /** More hashes, of the pieces from `from` on; what is known of them already stays. */
  learn(from: number, hashes: Uint8Array): Promise<void>
  /**
   * Writes a piece of which no hash is known yet, the first such one, and returns the hash that it has from now on: whoever
   * brings a blob from outside the cluster finds out with each piece what the next ones are checked against. The chunks' memory
   * is taken over. Throws StoreFullError, and for any other piece or a wrong length.
   */
  take(piece: number, chunks: Uint8Array[]): Promise<Uint8Array>
  /**
   * Bytes from `start` to `end`, all of verified pieces. A chunk's memory is used again after `next()` is called.
   * Throws RangeError when one of the pieces is not here.
   */
  chunks(start: number, end: number, options?: { signal?: AbortSignal }): AsyncIterable<Uint8Array>
  /**
   * With every piece here: proves the whole digest, syncs, and gives the file its digest's name; it is a blob from then on,
   * and this is closed. Throws `DIGEST_INVALID` when every piece matched and the whole does not: the piece list lied. The part
   * stays, for what another list says the same of.
   */
  finish(): Promise<void>
}
