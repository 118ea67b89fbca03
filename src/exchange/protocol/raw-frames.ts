/**
 * Frames that carry raw bytes, never CBOR: pieces, and signed piece lists. Big-endian header of 12 bytes, then the bytes:
 *
 *     data:  0x01 ‖ 0 ‖ id (2) ‖ piece (4) ‖ offset in the piece (4)
 *     list:  0x02 ‖ 0 ‖ id (2) ‖ size of the whole list (4) ‖ offset in the list (4)
 */
import { MalformedError } from '../../wire/wire.ts'
import { maxListPackBytes } from './list-pack.ts'
import { maxPieceBytes, maxPieces } from './piece-size.ts'

export const rawHeaderBytes = 12
/**
 * Bytes of a piece or list in one frame. Every frame is a dozen steps for both sides, so that on a quick link a large piece is few
 * of them; twice as large ones cost as much, and each neighbour has several in memory.
 */
export const maxChunkBytes = 256 * 1024
export const maxFrameBytes = rawHeaderBytes + maxChunkBytes

/** And at least, but at its end: a peer may not make a thousand frames of a piece. */
export const leastChunkBytes = 16 * 1024

const dataKind = 1
const listKind = 2

export interface DataFrame {
  type: 'data'
  id: number
  piece: number
  /** In the piece. */
  offset: number
  bytes: Uint8Array
}

export interface ListFrame {
  type: 'list'
  id: number
  totalBytes: number
  offset: number
  bytes: Uint8Array
}

export type RawFrame = DataFrame | ListFrame

/** Writes the header before the bytes of a piece that the caller puts behind it, at `rawHeaderBytes`. */
export function writeDataHeader(
  frame: Uint8Array,
  header: { id: number; piece: number; offset: number },
): void {
  writeHeader(frame, dataKind, header.id, header.piece, header.offset)
}

export function encodeData({ id, piece, offset, bytes }: Omit<DataFrame, 'type'>): Uint8Array {
  return joined(dataKind, id, piece, offset, bytes)
}

/** A whole piece list as the frames that carry it. */
export function* listFrames(id: number, list: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < list.length; offset += maxChunkBytes) {
    yield joined(listKind, id, list.length, offset, list.subarray(offset, offset + maxChunkBytes))
  }
}

/** `bytes` is a view of `frame`. Throws `MALFORMED`. */
export function parseRawFrame(frame: Uint8Array): RawFrame {
  if (frame.length <= rawHeaderBytes || frame.length > maxFrameBytes) {
    throw new MalformedError(`a raw frame of ${frame.length} bytes`)
  }
  const view = new DataView(frame.buffer, frame.byteOffset, rawHeaderBytes)
  if (view.getUint8(1) !== 0) throw new MalformedError('a raw frame with a second byte that is not 0')
  const [id, number, offset] = [view.getUint16(2), view.getUint32(4), view.getUint32(8)]
  const bytes = frame.subarray(rawHeaderBytes)
  switch (view.getUint8(0)) {
    case dataKind:
      if (number >= maxPieces || offset + bytes.length > maxPieceBytes) {
        throw new MalformedError(`${bytes.length} bytes at ${offset} of piece ${number}`)
      }
      return { type: 'data', id, piece: number, offset, bytes }
    case listKind:
      if (number > maxListPackBytes || offset + bytes.length > number) {
        throw new MalformedError(`${bytes.length} bytes at ${offset} of a list of ${number}`)
      }
      return { type: 'list', id, totalBytes: number, offset, bytes }
    default:
      throw new MalformedError(`a raw frame of kind ${view.getUint8(0)}`)
  }
}

function joined(kind: number, id: number, second: number, third: number, bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0 || bytes.length > maxChunkBytes)
    throw new RangeError(`a chunk of ${bytes.length} bytes`)
  const frame = new Uint8Array(rawHeaderBytes + bytes.length)
  writeHeader(frame, kind, id, second, third)
  frame.set(bytes, rawHeaderBytes)
  return frame
}

function writeHeader(frame: Uint8Array, kind: number, id: number, second: number, third: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset, rawHeaderBytes)
  view.setUint8(0, kind)
  view.setUint8(1, 0)
  view.setUint16(2, id)
  view.setUint32(4, second)
  view.setUint32(8, third)
}
