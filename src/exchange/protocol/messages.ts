/**
 * The messages of the exchange protocol. A channel serves one direction: the *asker* opens it and downloads, the *holder*
 * answers. Frames whose first byte is below 0x80 carry raw bytes (raw-frames.ts); all others are one of these, in CBOR.
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
import { layoutOf, maxBlobBytes, maxPieces } from './piece-size.ts'
import { parseRawFrame, type RawFrame } from './raw-frames.ts'

export const exchangeProtocol = '/shoal/exchange/1.0.0'

/** Of a control message; raw frames have their own limit. */
export const maxMessageBytes = 16 * 1024
/** Wants that a channel may have open at once; a holder resets a channel that has more. */
export const maxWants = 256
/** Pieces in one request, cancel, later or lost. */
export const maxPiecesPerRequest = 64
/** Pieces in one update. */
export const maxPiecesPerUpdate = 1024
/** Other askers that a holder names at once. */
export const maxOthers = 16
/** Longest time that a holder may send an asker away for. */
export const maxRetryAfterMs = 60_000

const id = uint({ max: 0xffff })
const piece = uint({ max: maxPieces - 1 })
const pieces = list(piece, { max: maxPiecesPerRequest })
const retryAfterMs = uint({ max: maxRetryAfterMs })
const fingerprint = bytes({ length: 32 })
const size = uint({ max: maxBlobBytes })

const askCodec = codec(
  variant('type', {
    /** Is this blob here? Every change of the answer is told too, until `done`. */
    want: struct({
      type: literal('want'),
      id,
      digest: digestText,
      repository: repositoryText,
    }),
    /** Send the signed piece lists that tell of piece `from` (default the first) and those behind it, in list frames. */
    list: struct({ type: literal('list'), id, from: optional(piece) }),
    /** Send these pieces, in this order if nothing speaks against it. `urgent` asks not to be told `later`. */
    request: struct({ type: literal('request'), id, pieces, urgent: optional(literal(1)) }),
    cancel: struct({ type: literal('cancel'), id, pieces }),
    /** These have arrived, whatever they are worth: others may be sent now. */
    got: struct({ type: literal('got'), id, pieces }),
    /** This piece came from you and does not have its hash. */
    bad: struct({ type: literal('bad'), id, piece }),
    /** Ends a want and all that hangs on it; the id may be used again. */
    done: struct({ type: literal('done'), id }),
    /** May I connect to you directly? With the SHA-256 of the certificate that I will show. */
    'lane-ask': struct({ type: literal('lane-ask'), fingerprint }),
    /** The direct lane is gone: forget every request of this channel, and answer on the channel itself from now on. */
    'lane-lost': struct({ type: literal('lane-lost') }),
  }),
  { maxBytes: maxMessageBytes },
)

const answerCodec = codec(
  variant('type', {
    /** Not here, or not for you; what was here before is gone. */
    absent: struct({ type: literal('absent'), id }),
    complete: struct({ type: literal('complete'), id, size }),
    partial: struct({ type: literal('partial'), id, size, bitfield: bytes({ max: maxPieces / 8 }) }),
    /** These pieces are here now too. */
    update: struct({ type: literal('update'), id, pieces: list(piece, { max: maxPiecesPerUpdate }) }),
    /** These are not here after all (a rotten disk); requests for them are forgotten. */
    lost: struct({ type: literal('lost'), id, pieces }),
    /** There is no piece list to give yet. */
    'no-list': struct({ type: literal('no-list'), id }),
    /**
     * These requests are forgotten, because others have just been given the same pieces and will pass them on.
     * Ask for `instead`, which nobody was given yet; ask again for these after the time if no one else has them.
     */
    later: struct({ type: literal('later'), id, pieces, instead: pieces, retryAfterMs }),
    /** Every request for this blob is forgotten; ask again after the time. */
    busy: struct({ type: literal('busy'), id, retryAfterMs }),
    /** Requests are queued here and I live. Sent when nothing else was for `aliveMs` or a little longer. */
    alive: struct({ type: literal('alive') }),
    /** Public keys of others who ask me for this blob, so that you can ask each other. */
    others: struct({ type: literal('others'), id, peers: list(bytes({ length: 32 }), { max: maxOthers }) }),
    /** Connect to this TCP port of mine, expect a certificate with this SHA-256, and send `ticket` first. It serves once. */
    'lane-offer': struct({
      type: literal('lane-offer'),
      port: uint({ max: 65_535 }),
      fingerprint,
      ticket: bytes({ length: 32 }),
    }),
    'lane-none': struct({ type: literal('lane-none') }),
  }),
  { maxBytes: maxMessageBytes },
)

/** How long a holder that has an asker's requests queued says nothing to it; with more than 8 askers up to twice as long. */
export const aliveMs = 200

/** From the one who opened the channel. */
export type Ask = ReturnType<typeof askCodec.decode>
/** From the one who serves it. */
export type Answer = ReturnType<typeof answerCodec.decode>

/** Throws `TOO_LARGE`. */
export const encodeAsk = (ask: Ask): Uint8Array => askCodec.encode(ask)
/** Throws `MALFORMED`. */
export const decodeAsk = (frame: Uint8Array): Ask => askCodec.decode(frame)
/** Throws `TOO_LARGE`. */
export const encodeAnswer = (answer: Answer): Uint8Array => answerCodec.encode(answer)

/** A message or raw bytes, whichever the frame is. Raw bytes are a view of `frame`. Throws `MALFORMED`. */
export function decodeAnswer(frame: Uint8Array): Answer | RawFrame {
  if ((frame[0] ?? 0x80) < 0x80) return parseRawFrame(frame)
  const answer = answerCodec.decode(frame)
  if (answer.type === 'partial') Bitfield.parse(answer.bitfield, layoutOf(answer.size).count)
  if (answer.type === 'lane-offer' && answer.port === 0) throw new MalformedError('port 0 cannot be dialled')
  return answer
}
