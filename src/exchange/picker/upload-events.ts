/** What happens to an upload, what it wants done, and its limits. */
import type { Bitfield } from '../protocol/bitfield.ts'

/** A blob asked for by a downloader. One that has several wants of it gives each a name of its own. */
export interface UploadWant {
  downloader: string
  blob: string
  want?: number | undefined
}

export type UploadEvent =
  /**
   * `held` is kept and read later: add to it as pieces come. `isOrigin` says whether they come from the origin, `knownMs`
   * since when the downloader is known here, which decides where there are more than places.
   */
  | ({ type: 'want'; held: Bitfield; isOrigin?: boolean; knownMs?: number } & UploadWant)
  | ({ type: 'request'; pieces: readonly number[]; urgent?: boolean } & UploadWant)
  | ({ type: 'cancel'; pieces: readonly number[] } & UploadWant)
  | ({ type: 'done' } & UploadWant)
  /** All of its channels ended. */
  | { type: 'left'; downloader: string }
  /** A `send` is over: the piece arrived, or was cancelled, or failed. Every one of them has to be reported, also after `left`. */
  | ({ type: 'sent'; piece: number } & UploadWant)
  /** Time has passed. */
  | { type: 'wake' }

export type UploadAction =
  | ({ type: 'send'; piece: number } & UploadWant)
  /** Stop what is being sent, after the frame that is on its way; then report `sent`. */
  | ({ type: 'stop'; piece: number } & UploadWant)
  | ({ type: 'later'; pieces: number[]; instead: number[]; retryAfterMs: number } & UploadWant)
  | ({ type: 'busy'; retryAfterMs: number } & UploadWant)

export interface UploadLimits {
  /** Pieces being sent at once, to all and to one downloader; more where the way is long for them (flight.ts), up to `maxSlots`. */
  slots: number
  slotsPerDownloader: number
  maxSlots: number
  /** Requests that one downloader may have waiting; beyond, it is told that the node is busy. */
  maxQueuedPerDownloader: number
  maxDownloaders: number
  /** Of one blob; beyond, one gives way (places.ts), or the new one is told that the node is busy. */
  maxDownloadersOfBlob: number
  /** Blobs of a single piece, such as manifests, that are sent to one downloader, and to all, beside what has slots. */
  smallPerDownloader: number
  maxSmall: number
}

export const defaultUploadLimits: UploadLimits = {
  slots: 8,
  slotsPerDownloader: 2,
  maxSlots: 64,
  maxQueuedPerDownloader: 256,
  maxDownloaders: 256,
  maxDownloadersOfBlob: 12,
  smallPerDownloader: 8,
  maxSmall: 64,
}
