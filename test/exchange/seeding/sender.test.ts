import { describe, expect, it } from 'vitest'
import { FramePool } from '../../../src/exchange/peer/frame-pool.ts'
import { decodeFrame } from '../../../src/exchange/protocol/messages.ts'
import { pieceFrames } from '../../../src/exchange/seeding/sender.ts'

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
