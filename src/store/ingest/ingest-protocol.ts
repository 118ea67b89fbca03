/** What the main thread and an ingest worker say to each other. Requests about one file are met in order. */
import type { DigestAlgorithm } from '../../oci/oci.ts'
import type { PutOutcome, WholeFile } from './whole-files.ts'

export type IngestRequest =
  /** Opens or makes the file; what it holds already is hashed first. Value: `offset`. */
  | { type: 'open'; file: number; path: string; algorithm: DigestAlgorithm }
  /** Appends. After a failure every write is refused until `resume`. Value: `offset`. */
  | { type: 'write'; file: number; chunks: Uint8Array[] }
  /** Appends `bytes` of the open file `from`, from where this file stands; fewer where that ends before. As `write` otherwise. */
  | { type: 'copy'; file: number; from: number; bytes: number }
  /** Ends the refusal after a failed write. Value: `offset`, where the file stands. */
  | { type: 'resume'; file: number }
  /** Syncs, with `timeMs` as the file's modification time, and closes. Value: `hex`, `offset`, `sums`. */
  | { type: 'finish'; file: number; algorithm: DigestAlgorithm; timeMs: number }
  | { type: 'close'; file: number }
  /** Makes whole files, each synced, with its modification time, and with its name, durably. Value: `puts`, one for each. */
  | { type: 'put'; file: number; files: WholeFile[] }
  /**
   * Hashes a file as far as `bytes`; `file` is a number of its own. Value: `offset`, and at the file's end `hex`, `inode` and
   * `sums`. Until then `hash-on` goes on, or `leave` leaves it.
   */
  | { type: 'hash'; file: number; path: string; algorithm: DigestAlgorithm; bytes: number }
  | { type: 'hash-on'; file: number; bytes: number }
  | { type: 'leave'; file: number }
  /** Makes a running `hash` or `hash-on` of that number fail. */
  | { type: 'stop'; file: number }

export interface IngestValue {
  /** The file's length. */
  offset: number
  hex?: string
  inode?: number
  /** Of its blocks. */
  sums?: Uint8Array
  puts?: PutOutcome[]
}
