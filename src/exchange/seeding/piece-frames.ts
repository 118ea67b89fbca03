/** A piece as the frames that carry it, in memory that is used again: new memory of this size costs more than copying a piece. */
import { maxChunkBytes, maxFrameBytes, rawHeaderBytes, writeDataHeader } from '../protocol/raw-frames.ts'

export class FramePool {
  readonly #free: ArrayBuffer[] = []
  readonly #most: number

  /** Keeps up to `most` frames of `maxFrameBytes` for use. */
  constructor({ most }: { most: number }) {
    this.#most = most
  }

  /** Its content is what was there before. */
  take(bytes: number): Uint8Array {
    return new Uint8Array(this.#free.pop() ?? new ArrayBuffer(maxFrameBytes), 0, bytes)
  }

  /** Takes back what `take` gave, and lets go of anything else. Nobody may look at it any more. */
  give({ buffer }: Uint8Array): void {
    const isMine = buffer instanceof ArrayBuffer && buffer.byteLength === maxFrameBytes
    if (isMine && this.#free.length < this.#most) this.#free.push(buffer)
  }
}

export interface PieceFramesOptions {
  id: number
  piece: number
  /** Of the piece. */
  length: number
  /** Its bytes; a chunk's memory may be used again once the next is asked for. */
  chunks: AsyncIterable<Uint8Array>
  pool: FramePool
}

/** Whoever takes a frame gives it back to the pool. Throws what reading throws. */
export async function* pieceFrames({
  id,
  piece,
  length,
  chunks,
  pool,
}: PieceFramesOptions): AsyncGenerator<{ frame: Uint8Array; isLast: boolean }, void, undefined> {
  // Frames of equal length: what is left over of full ones would cost as much as one of them.
  const frameBytes = Math.ceil(length / Math.ceil(length / maxChunkBytes))
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
