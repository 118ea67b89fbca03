import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  layoutOf,
  maxBlobBytes,
  maxPieceBytes,
  maxPieces,
  minPieceBytes,
  pieceAt,
  pieceLength,
  pieceRange,
} from '../../../src/exchange/protocol/piece-size.ts'

const kibibyte = 1024
const mebibyte = kibibyte * kibibyte
const gibibyte = kibibyte * mebibyte
const sizes = fc.oneof(
  fc.nat({ max: 64 * mebibyte }),
  fc.maxSafeNat().map((n) => n % (maxBlobBytes + 1)),
)

describe('the piece size', () => {
  // The rule is part of the protocol: nodes that cut differently cannot exchange anything.
  it.each([
    [0, 64 * kibibyte, 0],
    [1, 64 * kibibyte, 1],
    [64 * kibibyte, 64 * kibibyte, 1],
    [64 * kibibyte + 1, 64 * kibibyte, 2],
    [16 * mebibyte, 64 * kibibyte, 256],
    [16 * mebibyte + 1, 128 * kibibyte, 129],
    [32 * mebibyte, 128 * kibibyte, 256],
    [32 * mebibyte + 1, 256 * kibibyte, 129],
    [64 * mebibyte, 256 * kibibyte, 256],
    [256 * mebibyte, mebibyte, 256],
    [2 * gibibyte, mebibyte, 2048],
    [2 * gibibyte + 1, 2 * mebibyte, 1025],
    [10 * gibibyte, 8 * mebibyte, 1280],
    [64 * gibibyte, 16 * mebibyte, 4096],
    [maxBlobBytes, 16 * mebibyte, maxPieces],
  ])('cuts a blob of %i bytes into pieces of %i, which makes %i', (size, pieceBytes, count) => {
    expect(layoutOf(size)).toEqual({ size, pieceBytes, count })
  })

  it.each([-1, 0.5, Number.NaN, maxBlobBytes + 1, Number.POSITIVE_INFINITY])(
    'does not cut %d bytes',
    (size) => {
      expect(() => layoutOf(size)).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
    },
  )

  it('stays within its bounds and never shrinks as blobs grow', () => {
    fc.assert(
      fc.property(sizes, sizes, (a, b) => {
        const [small, large] = [layoutOf(Math.min(a, b)), layoutOf(Math.max(a, b))]
        expect(small.pieceBytes).toBeLessThanOrEqual(large.pieceBytes)
        expect(large.pieceBytes).toBeGreaterThanOrEqual(minPieceBytes)
        expect(large.pieceBytes).toBeLessThanOrEqual(maxPieceBytes)
        expect(Math.log2(large.pieceBytes) % 1).toBe(0)
        expect(large.count).toBeLessThanOrEqual(maxPieces)
      }),
    )
  })

  it('covers every byte exactly once', () => {
    fc.assert(
      fc.property(
        sizes.filter((size) => size > 0),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (size, where) => {
          const layout = layoutOf(size)
          const offset = Math.min(size - 1, Math.floor(where * size))
          const piece = pieceAt(layout, offset)
          const { start, end } = pieceRange(layout, piece)
          expect(start).toBeLessThanOrEqual(offset)
          expect(end).toBeGreaterThan(offset)
          expect(end - start).toBe(pieceLength(layout, piece))
          expect(pieceRange(layout, layout.count - 1).end).toBe(size)
          if (piece > 0) expect(pieceRange(layout, piece - 1).end).toBe(start)
        },
      ),
    )
  })

  it.each([-1, 80, 0.5])('has no piece %d of 80', (piece) => {
    expect(() => pieceRange(layoutOf(5 * mebibyte), piece)).toThrow(RangeError)
  })
})
