/** What the main thread and the piece worker say to each other. Requests about one file are met in order. */
import type { DigestAlgorithm } from '../../oci/oci.ts'

export type PieceRequest =
  /**
   * Opens or makes the file at its full size; of the pieces in `claimed` those that hash right are `held`, and all that are `untouched`
   * without being read, if `proof` is what `close` gave for these and their hashes. `hashes` may be the first ones only.
   */
  | {
      type: 'open'
      file: number
      path: string
      size: number
      pieceBytes: number
      hashes: Uint8Array
      algorithm: DigestAlgorithm
      claimed: number[]
      untouched?: { pieces: number[]; proof: string }
    }
  /** Proves a piece and writes it in its place. Values: `right`, and the chunks' `memory`, given back. */
  | { type: 'write'; file: number; piece: number; chunks: Uint8Array[] }
  /** Writes the first piece that has no hash yet. Values: `hash`, and `memory` as above. */
  | { type: 'take'; file: number; piece: number; chunks: Uint8Array[] }
  /** Hashes of the pieces from `from` on; those that are known stay. */
  | { type: 'learn'; file: number; from: number; hashes: Uint8Array }
  /**
   * With every piece written: syncs, with `timeMs` as the modification time, and closes. Values: `hex` of the whole, and its `sums`; `right` is
   * false where it is not `expected`, and what was `untouched` is not what it was.
   */
  | { type: 'finish'; file: number; timeMs: number; expected: string }
  /** Values: `hex`, a hash of the hashes of all that is held. */
  | { type: 'close'; file: number }
  /** Hashes each piece of a part of a file; `file` is a number of its own. Values: `hashes`, and the part's `sums`, as `BlockSums` has them. */
  | { type: 'hash'; file: number; path: string; pieceBytes: number; start: number; end: number }

export interface PieceValue {
  held?: number[]
  right?: boolean
  memory?: ArrayBuffer[]
  hash?: Uint8Array
  hex?: string
  sums?: Uint8Array
  hashes?: Uint8Array
}
