/**
 * The messages that name pieces, which are most of all: a few bytes each, since to write and read a map costs more than what it says.
 *
 *     kind ‖ 1 when it is urgent, or 0 ‖ id (2) ‖ pieces (4 each), big-endian
 */
import { MalformedError } from '../../wire/wire.ts'
import { maxPieces } from './piece-size.ts'

/** Pieces in one request, cancel, later or lost. */
export const maxPiecesPerRequest = 64
/** Pieces in one update. */
export const maxPiecesPerUpdate = 1024

export type PieceAsk =
  /** Send these pieces, in this order if nothing speaks against it. `urgent` asks not to be told `later`. */
  | { type: 'request'; id: number; pieces: number[]; urgent?: 1 }
  | { type: 'cancel'; id: number; pieces: number[] }
  /** These have arrived, whatever they are worth: others may be sent now. */
  | { type: 'got'; id: number; pieces: number[] }

export type PieceAnswer =
  /** These pieces are here now too. */
  | { type: 'update'; id: number; pieces: number[] }
  /** These are not here after all (a rotten disk); requests for them are forgotten. */
  | { type: 'lost'; id: number; pieces: number[] }

/** By kind, from the first on. */
const types = ['request', 'cancel', 'got', 'update', 'lost'] as const
const firstKind = 3
const headerBytes = 4
const pieceBytes = 4

export function isPieceAsk({ type }: { type: string }): boolean {
  return type === 'request' || type === 'cancel' || type === 'got'
}

export function isOfPieces(message: { type: string }): message is PieceAsk | PieceAnswer {
  return isPieceAsk(message) || message.type === 'update' || message.type === 'lost'
}

export function encodePieces(message: PieceAsk | PieceAnswer): Uint8Array {
  const { type, id, pieces } = message
  const frame = new Uint8Array(headerBytes + pieceBytes * pieces.length)
  const view = new DataView(frame.buffer)
  view.setUint8(0, firstKind + types.indexOf(type))
  view.setUint8(1, type === 'request' ? (message.urgent ?? 0) : 0)
  view.setUint16(2, id)
  for (const [at, piece] of pieces.entries()) view.setUint32(headerBytes + pieceBytes * at, piece)
  return frame
}

/** `undefined` for a frame of another kind. Throws `MALFORMED`. */
export function decodePieces(frame: Uint8Array): PieceAsk | PieceAnswer | undefined {
  const type = types[(frame[0] ?? 0) - firstKind]
  if (type === undefined) return undefined
  const count = (frame.length - headerBytes) / pieceBytes
  const most = type === 'update' ? maxPiecesPerUpdate : maxPiecesPerRequest
  if (!Number.isInteger(count) || count < 1 || count > most) {
    throw new MalformedError(`${type} of ${frame.length} bytes; expected 1 to ${most} pieces`)
  }
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  const urgent = view.getUint8(1)
  if (urgent > (type === 'request' ? 1 : 0)) throw new MalformedError(`${type} with an urgency of ${urgent}`)
  const pieces: number[] = []
  for (let at = headerBytes; at < frame.length; at += pieceBytes) {
    const piece = view.getUint32(at)
    if (piece >= maxPieces) throw new MalformedError(`piece ${piece}; no blob has more than ${maxPieces}`)
    pieces.push(piece)
  }
  const id = view.getUint16(2)
  return type === 'request' && urgent === 1 ? { type, id, pieces, urgent } : { type, id, pieces }
}
