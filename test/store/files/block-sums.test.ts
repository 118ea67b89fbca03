/** The sums of a blob's blocks: how they are kept, and what passes them by. */
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  BlockSums,
  blockBytes,
  decodeSums,
  encodeSums,
  PassingBlocks,
  partialBlocks,
} from '../../../src/store/files/block-sums.ts'
import { seededBytes } from '../scenery.ts'

function sumsOf(bytes: Uint8Array) {
  const sums = new BlockSums()
  sums.update(bytes)
  return { size: bytes.length, sums: sums.finish() }
}

describe('the row of a blob', () => {
  it.each([0, 1, blockBytes, blockBytes + 1])('of %i bytes is read as it was written', (size) => {
    const sums = sumsOf(seededBytes(size))
    expect(decodeSums(encodeSums(sums))).toEqual(sums)
  })

  it('is unknown where it holds the CRC-32 of each block, as rows once did', () => {
    const row = new Uint8Array(12)
    const view = new DataView(row.buffer)
    view.setBigUint64(0, 100n)
    view.setUint32(8, crc32(seededBytes(100)))
    expect(decodeSums(row)).toBeUndefined()
  })

  it('is unknown where it has another length than its size asks for, whatever it holds', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (row) => {
        const sums = decodeSums(row)
        if (sums !== undefined) expect(encodeSums(sums)).toEqual(row)
      }),
    )
  })
})

describe('what passes of a blob', () => {
  const size = 3 * blockBytes + 1000
  const bytes = seededBytes(size)
  const known = sumsOf(bytes)

  it('is right, or not, as whole blocks of it are; the rest is named', () => {
    const position = fc.oneof(
      fc.nat({ max: size }),
      fc
        .tuple(fc.nat({ max: 4 }), fc.integer({ min: -1, max: 1 }))
        .map(([block, off]) => Math.min(size, Math.max(0, block * blockBytes + off))),
    )
    fc.assert(
      fc.property(
        position,
        position,
        fc.nat({ max: size - 1 }),
        fc.integer({ min: 1000, max: size }),
        (a, b, rotten, cut) => {
          const [start, end] = [Math.min(a, b), Math.max(a, b)]
          const passing = new PassingBlocks(known, start)
          bytes[rotten] = (bytes[rotten] ?? 0) ^ 1
          let isRight = true
          for (let at = start; at < end; at += cut)
            isRight &&= passing.areRight(bytes.subarray(at, Math.min(at + cut, end)))
          bytes[rotten] = (bytes[rotten] ?? 0) ^ 1
          const partial = partialBlocks(size, start, end)
          for (const block of partial) expect(block.start % blockBytes).toBe(0)
          const isIn = (from: number, to: number): boolean => from <= rotten && rotten < to
          const isLeft = partial.some((block) => isIn(block.start, block.end))
          // Whatever is asked for either passes in whole blocks or lies in those that are named.
          if (isIn(start, end)) expect(isRight).toBe(isLeft)
          else expect(isRight).toBe(true)
        },
      ),
    )
  })

  it('has a partial block at each end at most, and one where both are the same', () => {
    expect(partialBlocks(size, 0, size)).toEqual([])
    expect(partialBlocks(size, blockBytes, 2 * blockBytes)).toEqual([])
    expect(partialBlocks(size, 5, 10)).toEqual([{ start: 0, end: blockBytes }])
    expect(partialBlocks(size, 5, size)).toEqual([{ start: 0, end: blockBytes }])
    expect(partialBlocks(size, 0, size - 1)).toEqual([{ start: 3 * blockBytes, end: size }])
  })
})
