/** A piece as the frames that carry it. */
import type { FramePool } from '../peer/frame-pool.ts'
import { maxChunkBytes, rawHeaderBytes, writeDataHeader } from '../protocol/raw-frames.ts'

export interface PieceFramesOptions {
  id: number
  piece: number
  /** Of the piece. */
  length: number
  /** Its bytes; a chunk's memory may be used again once the next is asked for. */
  chunks: AsyncIterable<Uint8Array>
  pool: FramePool
  /** At most so many of them in one frame. */
  frameBytes: number
}

/** Whoever takes a frame gives it back to the pool. Throws what reading throws. */
export async function* pieceFrames({
  id,
  piece,
  length,
  chunks,
  pool,
  frameBytes: mostBytes,
}: PieceFramesOptions): AsyncGenerator<{ frame: Uint8Array; isLast: boolean }, void, undefined> {
  // Frames of equal length: what is left over of full ones would cost as much as one of them.
  const frameBytes = Math.ceil(length / Math.ceil(length / Math.min(mostBytes, maxChunkBytes)))
  let offset = 0
  let filled = 0
  let frame: Uint8Array | undefined
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      frame ??= pool.take(rawHeaderBytes + Math.min(frameBytes, length - offset))
      const part = chunk.subarray(at, at + frame.length - rawHeaderBytes - filled)
      frame.set(part, rawHeaderBytes + filled)
      filled += part.length
      at += part.length
      if (rawHeaderBytes + filled < frame.length) continue
      writeDataHeader(frame, { id, piece, offset })
      offset += filled
      yield { frame, isLast: offset === length }
      filled = 0
      frame = undefined
    }
  }
}
