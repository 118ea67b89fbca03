import { describe, expect, it } from 'vitest'
import { decodeFrame } from '../../../src/exchange/protocol/messages.ts'
import { maxChunkBytes } from '../../../src/exchange/protocol/raw-frames.ts'
import { FramePool, pieceFrames } from '../../../src/exchange/seeding/piece-frames.ts'

const kibibyte = 1024

async function* inChunks(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.slice(at, at + chunkBytes)
}

describe('a piece as frames', () => {
  it.each([
    [64, 128, [64]],
    [256, 128, [128, 128]],
    [1024, 300, [256, 256, 256, 256]],
    [1024, 4096, [256, 256, 256, 256]],
  ])(
    'of %i KiB goes in equal ones of at most %i KiB, and of what a frame takes',
    async (length, most, expected) => {
      const bytes = new Uint8Array(length * kibibyte).map((_, index) => index % 251)
      const frames = pieceFrames({
        id: 7,
        piece: 3,
        length: bytes.length,
        chunks: inChunks(bytes, 100_000),
        pool: new FramePool({ mostBytes: 0 }),
        frameBytes: most * kibibyte,
      })
      const chunks: Uint8Array[] = []
      for await (const { frame, isLast } of frames) {
        const data = decodeFrame(frame)
        if (data.type !== 'data') throw new Error(`a frame of ${data.type}`)
        expect(data).toMatchObject({ id: 7, piece: 3, offset: Buffer.concat(chunks).length })
        chunks.push(data.bytes)
        expect(isLast).toBe(Buffer.concat(chunks).length === bytes.length)
      }
      expect(chunks.map((chunk) => chunk.length / kibibyte)).toEqual(expected)
      expect(Buffer.compare(Buffer.concat(chunks), bytes)).toBe(0)
    },
  )
})

describe('the memory of frames', () => {
  it('is used again by frames of about the same size', () => {
    const pool = new FramePool({ mostBytes: maxChunkBytes })
    const small = pool.take(70 * kibibyte)
    pool.give(small)
    expect(pool.take(200 * kibibyte).buffer).not.toBe(small.buffer)
    expect(pool.take(128 * kibibyte).buffer).toBe(small.buffer)
    expect(pool.take(128 * kibibyte).buffer).not.toBe(small.buffer)
  })

  it('is used for smaller ones where nothing closer is kept', () => {
    const pool = new FramePool({ mostBytes: 2 * maxChunkBytes })
    const [large, small] = [pool.take(maxChunkBytes), pool.take(64 * kibibyte)]
    for (const frame of [large, small]) pool.give(frame)
    expect(pool.take(60 * kibibyte).buffer).toBe(small.buffer)
    expect(pool.take(60 * kibibyte).buffer).toBe(large.buffer)
    pool.give(large)
    expect(pool.take(maxChunkBytes).buffer).toBe(large.buffer)
  })

  it('is let go of beyond what may be kept, and when it came from elsewhere', () => {
    const pool = new FramePool({ mostBytes: 128 * kibibyte })
    const [first, second] = [pool.take(128 * kibibyte), pool.take(128 * kibibyte)]
    for (const frame of [first, new Uint8Array(128 * kibibyte), second]) pool.give(frame)
    expect(pool.take(128 * kibibyte).buffer).toBe(first.buffer)
    expect(pool.take(128 * kibibyte).buffer).not.toBe(second.buffer)
  })
})
