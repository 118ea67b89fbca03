/**
 * The messages of the exchange protocol. Two neighbours have one connection, on which both ask and both answer: who downloads
 * sends `Ask`s, who seeds sends `Answer`s, and the ids of both are those of the downloader. Frames whose first byte is below
 * 0x80 carry raw bytes (raw-frames.ts) or name pieces (piece-messages.ts); all others are one of these, in CBOR.
 */
import {
  bytes,
  codec,
  digestText,
  list,
  literal,
  MalformedError,
  optional,
  repositoryText,
  struct,
  uint,
  variant,
} from '../../wire/wire.ts'
import { Bitfield } from './bitfield.ts'
import {
  decodePieces,
  encodePieces,
  isOfPieces,
  isPieceAsk,
  maxPiecesPerRequest,
  type PieceAnswer,
  type PieceAsk,
} from './piece-messages.ts'
import { layoutOf, maxBlobBytes, maxPieces } from './piece-size.ts'
import { parseRawFrame, type RawFrame } from './raw-frames.ts'

export const exchangeProtocol = '/shoal/exchange/1.0.0'

/** Of a control message; raw frames have their own limit. */
export const maxMessageBytes = 16 * 1024
/** Wants that one side of a connection may have open at once; the other ends a connection that has more. */
export const maxWants = 256
/** Other downloaders that a seeder names at once. */
export const maxOthers = 16
/** Longest time that a seeder may send a downloader away for. */
export const maxRetryAfterMs = 60_000

const id = uint({ max: 0xffff })
const piece = uint({ max: maxPieces - 1 })
const pieces = list(piece, { max: maxPiecesPerRequest })
const retryAfterMs = uint({ max: maxRetryAfterMs })
const fingerprint = bytes({ length: 32 })
const size = uint({ max: maxBlobBytes })

/** From who downloads. */
const asks = {
  /** Is this blob here? Every change of the answer is told too, until `done`. */
  want: struct({ type: literal('want'), id, digest: digestText, repository: repositoryText }),
  /** Send the signed piece lists that tell of piece `from` (default the first) and those behind it, in list frames. */
  'ask-list': struct({ type: literal('ask-list'), id, from: optional(piece) }),
  /** This piece came from you and does not have its hash. */
  bad: struct({ type: literal('bad'), id, piece }),
  /** Ends a want and all that hangs on it; the id may be used again. */
  done: struct({ type: literal('done'), id }),
}

/** From who seeds. */
const answers = {
  /** Not here, or not for you; what was here before is gone. */
  absent: struct({ type: literal('absent'), id }),
  complete: struct({ type: literal('complete'), id, size }),
  partial: struct({ type: literal('partial'), id, size, bitfield: bytes({ max: maxPieces / 8 }) }),
  /** There is no piece list to give yet. */
  'no-list': struct({ type: literal('no-list'), id }),
  /**
   * These requests are forgotten, because others have just been given the same pieces and will pass them on.
   * Ask for `instead`, which nobody was given yet; ask again for these after the time if no one else has them.
   */
  later: struct({ type: literal('later'), id, pieces, instead: pieces, retryAfterMs }),
  /** Every request for this blob is forgotten; ask again after the time. */
  busy: struct({ type: literal('busy'), id, retryAfterMs }),
  /** Requests are queued here and I live: the heartbeat. Sent when nothing else was for 200 to 400 ms. */
  alive: struct({ type: literal('alive') }),
  /** Public keys of others who ask me for this blob, so that you can ask each other. */
  others: struct({ type: literal('others'), id, peers: list(bytes({ length: 32 }), { max: maxOthers }) }),
}

/** How the two go over from the stream to a direct connection; each side sends each of these once at most. */
const moves = {
  /** Connect to this TCP port of mine, expect a certificate with this SHA-256, and send `ticket` first. It serves once. */
  direct: struct({
    type: literal('direct'),
    port: uint({ max: 65_535 }),
    fingerprint,
    ticket: bytes({ length: 32 }),
  }),
  /** We stay on the stream. */
  'no-direct': struct({ type: literal('no-direct') }),
  /** I cannot reach you: connect to me. */
  dial: struct({ type: literal('dial') }),
  /** My last frame on the stream; all that follows comes on the direct connection. */
  moved: struct({ type: literal('moved') }),
}

const messageCodec = codec(variant('type', { ...asks, ...answers, ...moves }), { maxBytes: maxMessageBytes })

type MapMessage = ReturnType<typeof messageCodec.decode>
export type Ask = Extract<MapMessage, { type: keyof typeof asks }> | PieceAsk
export type Answer = Extract<MapMessage, { type: keyof typeof answers }> | PieceAnswer
export type Move = Extract<MapMessage, { type: keyof typeof moves }>
export type Message = Ask | Answer | Move

/** Throws `TOO_LARGE`. */
export function encodeMessage(message: Message): Uint8Array {
  return isOfPieces(message) ? encodePieces(message) : messageCodec.encode(message)
}

/** A message or raw bytes, whichever the frame is. Raw bytes are a view of `frame`. Throws `MALFORMED`. */
export function decodeFrame(frame: Uint8Array): Message | RawFrame {
  if ((frame[0] ?? 0x80) < 0x80) return decodePieces(frame) ?? parseRawFrame(frame)
  const message = messageCodec.decode(frame)
  if (message.type === 'partial') Bitfield.parse(message.bitfield, layoutOf(message.size).count)
  if (message.type === 'direct' && message.port === 0) throw new MalformedError('port 0 cannot be dialled')
  return message
}

export function isAsk(message: Message | RawFrame): message is Ask {
  return Object.hasOwn(asks, message.type) || isPieceAsk(message)
}

export function isMove(message: Message | RawFrame): message is Move {
  return Object.hasOwn(moves, message.type)
}
