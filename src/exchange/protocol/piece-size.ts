/**
 * How a blob is cut: a rule that depends on its size alone, so that every node cuts it alike without a word.
 *
 * A piece is the smallest power of two that cuts the blob into at most 256 pieces, but not less than 64 KiB, nor more than
 * 1 MiB until there are 2,048 of them, nor ever more than 16 MiB. Small blobs are cut finely because a piece is what a host
 * has to hold before it can pass it on; how many there are is what counts, so large ones are cut coarsely: every piece costs
 * a request, a proof, and each neighbour the word that it is here, which on a quick link is most of the bill.
 */
import { MalformedError } from '../../wire/wire.ts'

const kibibyte = 1024
export const minPieceBytes = 64 * kibibyte
export const maxPieceBytes = 16 * kibibyte * kibibyte
/** 1 TiB: the largest blob that moves as pieces. */
export const maxBlobBytes = 2 ** 40
/** Of the largest blob. */
export const maxPieces = maxBlobBytes / maxPieceBytes

/** Enough for a swarm to have something to exchange from the first moments on. */
const wantedPieces = 256
/** Up to here a blob has as many as are wanted, beyond as many as a list takes. */
const finePieceBytes = kibibyte * kibibyte
const mostPieces = 2048

/** Where a blob's pieces lie: all have `pieceBytes` but the last, which has the rest. An empty blob has none. */
export interface Layout {
  readonly size: number
  readonly pieceBytes: number
  readonly count: number
}

/** Throws `MALFORMED` when `size` is not a whole number from 0 to 1 TiB. */
export function layoutOf(size: number): Layout {
  if (!Number.isSafeInteger(size) || size < 0 || size > maxBlobBytes) {
    throw new MalformedError(`a blob of ${size} bytes is not cut; expected 0 to ${maxBlobBytes}`)
  }
  let pieceBytes = minPieceBytes
  const isFew = (most: number): boolean => size <= pieceBytes * most
  while (pieceBytes < maxPieceBytes && !isFew(pieceBytes < finePieceBytes ? wantedPieces : mostPieces)) {
    pieceBytes *= 2
  }
  return { size, pieceBytes, count: Math.ceil(size / pieceBytes) }
}

/** The bytes of one piece: `start` inclusive, `end` exclusive. Throws RangeError for a piece that there is not. */
export function pieceRange(
  { size, pieceBytes, count }: Layout,
  piece: number,
): { start: number; end: number } {
  if (!Number.isInteger(piece) || piece < 0 || piece >= count) {
    throw new RangeError(`piece ${piece} of a blob that has ${count}`)
  }
  const start = piece * pieceBytes
  return { start, end: Math.min(start + pieceBytes, size) }
}

export function pieceLength({ size, pieceBytes }: Layout, piece: number): number {
  return Math.min(pieceBytes, size - piece * pieceBytes)
}

/** The piece that holds the byte at `offset`. */
export function pieceAt({ pieceBytes }: Layout, offset: number): number {
  return Math.floor(offset / pieceBytes)
}
