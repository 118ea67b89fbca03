/** The checksum of blocks: what it is, so that data directories can rely on it, and what it cannot overlook. */
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Fletcher } from '../../../src/store/files/fletcher.ts'
import { seededBytes } from '../scenery.ts'

const stepBytes = 64
const lanes = 16

/** As its definition says, word by word. */
function slowSum(bytes: Uint8Array): number {
  const padded = Buffer.alloc(Math.ceil(bytes.length / stepBytes) * stepBytes)
  padded.set(bytes)
  const sums = new Int32Array(2 * lanes)
  for (let word = 0; word < padded.length / 4; word++) {
    const lane = word % lanes
    const low = padded.readInt16LE(4 * word)
    const high = padded.readInt16LE(4 * word + 2)
    sums[lane] = (sums[lane] ?? 0) + 32749 * low + 30011 * high
    sums[lanes + lane] = (sums[lanes + lane] ?? 0) + (sums[lane] ?? 0)
  }
  return crc32(new Uint8Array(sums.buffer))
}

function sumOf(bytes: Uint8Array): number {
  const sum = new Fletcher()
  sum.update(bytes)
  return sum.finish()
}

describe('the checksum of a block', () => {
  it('is what its definition says, however the bytes come and whatever is summed beside them', () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 })
    fc.assert(
      fc.property(parts, parts, (ours, others) => {
        const [sum, other] = [new Fletcher(), new Fletcher()]
        for (let part = 0; part < 8; part++) {
          sum.update(ours[part] ?? new Uint8Array())
          other.update(others[part] ?? new Uint8Array())
        }
        expect(sum.finish()).toBe(slowSum(Buffer.concat(ours)))
        expect(other.finish()).toBe(slowSum(Buffer.concat(others)))
      }),
    )
    for (const length of [16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 100_001])
      expect(sumOf(seededBytes(length))).toBe(slowSum(seededBytes(length)))
  })

  it('begins anew after it was asked for', () => {
    const sum = new Fletcher()
    sum.update(seededBytes(1001))
    sum.finish()
    sum.update(seededBytes(70, 2))
    expect(sum.finish()).toBe(sumOf(seededBytes(70, 2)))
  })

  it('never changes', () => {
    expect(sumOf(seededBytes(256 * 1024))).toBe(2897382487)
    expect(sumOf(new Uint8Array(256 * 1024).fill(0xff))).toBe(2065887260)
  })

  it('changes with one bit, or two, wherever they are', () => {
    const block = seededBytes(256 * 1024)
    const right = sumOf(block)
    const bit = fc.nat({ max: block.length * 8 - 1 })
    const flip = (at: number): void => {
      block[at >> 3] = (block[at >> 3] ?? 0) ^ (1 << (at & 7))
    }
    // The second at the same place of the same lane as often as not: there sums could come out even.
    const distance = fc.oneof(
      bit,
      fc.nat({ max: block.length / stepBytes - 1 }).map((n) => n * stepBytes * 8),
    )
    fc.assert(
      fc.property(bit, distance, (first, apart) => {
        const second = (first + apart) % (block.length * 8)
        flip(first)
        if (second !== first) flip(second)
        expect(sumOf(block)).not.toBe(right)
        flip(first)
        if (second !== first) flip(second)
      }),
    )
    expect(sumOf(block)).toBe(right)
  })

  it('changes when words or sectors change places, or become zeros', () => {
    const block = seededBytes(256 * 1024)
    const right = sumOf(block)
    for (const [length, from, to] of [
      [4, 0, 64],
      [4, 128, 132],
      [512, 512, 4096],
      [4096, 8192, 131072],
    ] as const) {
      const moved = Uint8Array.from(block)
      moved.set(block.subarray(from, from + length), to)
      moved.set(block.subarray(to, to + length), from)
      expect(sumOf(moved)).not.toBe(right)
      expect(sumOf(Uint8Array.from(block).fill(0, from, from + length))).not.toBe(right)
    }
  })
})
