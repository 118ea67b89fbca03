/**
 * How blobs move as verified pieces: how a blob is cut, the signed list of its pieces, the messages that nodes exchange, the
 * decisions of both sides, and the engine that moves the bytes. All but the engine is pure: no I/O, no clock, no randomness.
 *
 * - piece-size: `layoutOf(size)` says where the pieces lie; the same everywhere, without a word being exchanged.
 * - piece-list: the hash of each piece, signed by who vouches for them, passed on with that signature by anyone.
 * - messages, raw-frames: the protocol `/shoal/exchange/1.0.0`, described in docs/exchange.md. Open a channel with
 *   `maxFrameBytes`. The side that opened it sends `Ask`s; the other sends `Answer`s and raw frames.
 * - Download: the asker's decisions for one blob. Upload: the holder's, for all blobs and askers of a node. Both are fed with
 *   events and the time, and answer with actions. TokenBucket: `--max-download` as a Download's `budget`, `--max-upload` by
 *   taking from it before every data frame.
 */

export { maxBeginningBytes } from './beginning.ts'
export { Bitfield } from './bitfield.ts'
export { Download } from './download.ts'
export {
  type DownloadAction,
  type DownloadEvent,
  type DownloadLimits,
  type DownloadOptions,
  type DropReason,
  defaultDownloadLimits,
  wakeEveryMs,
} from './download-events.ts'
export {
  type BeginningPart,
  type Exchange,
  type ExchangeOptions,
  type ExchangeStatus,
  type LeadOptions,
  type Origin,
  type Outside,
  openExchange,
  type PieceListStorage,
  type TransferPeer,
  type TransferView,
  type Wanted,
} from './engine.ts'
export { listPackLimit, openLists, packLists } from './list-pack.ts'
export {
  type Answer,
  type Ask,
  aliveMs,
  decodeAnswer,
  decodeAsk,
  encodeAnswer,
  encodeAsk,
  exchangeProtocol,
  maxMessageBytes,
  maxOthers,
  maxPiecesPerRequest,
  maxPiecesPerUpdate,
  maxRetryAfterMs,
  maxWants,
} from './messages.ts'
export { PieceHashes } from './piece-hashes.ts'
export {
  decodePieceList,
  maxPieceListBytes,
  openPieceList,
  type PieceList,
  pieceHash,
  pieceHashBytes,
  pieceListDomain,
  pieceListLimit,
  type SignedPieceList,
  signPieceList,
} from './piece-list.ts'
export {
  type Layout,
  layoutOf,
  maxBlobBytes,
  maxPieceBytes,
  maxPieces,
  minPieceBytes,
  pieceAt,
  pieceLength,
  pieceRange,
} from './piece-size.ts'
export {
  type DataFrame,
  encodeData,
  type ListFrame,
  listFrames,
  maxChunkBytes,
  maxFrameBytes,
  parseRawFrame,
  type RawFrame,
  rawHeaderBytes,
  writeDataHeader,
} from './raw-frames.ts'
export { TokenBucket } from './token-bucket.ts'
export {
  defaultUploadLimits,
  Upload,
  type UploadAction,
  type UploadEvent,
  type UploadLimits,
} from './upload.ts'
