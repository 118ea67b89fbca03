/** A piece as the frames that carry it, in memory that is used again: new memory of this size costs more than copying a piece. */
import { frameIn, frameMemory } from '../../wire/wire.ts'
import { maxChunkBytes, rawHeaderBytes, writeDataHeader } from '../protocol/raw-frames.ts'

const leastClassBytes = 64 * 1024
const largestClassBytes = maxChunkBytes

export class FramePool {
  /** Memory for chunks of up to so many bytes, a power of two. */
  readonly #free = new Map<number, ArrayBuffer[]>()
  /** And for which it was made. */
  readonly #classes = new WeakMap<ArrayBufferLike, number>()
  readonly #mostBytes: number
  #bytes = 0

  /** Keeps up to `mostBytes` for use. */
  constructor({ mostBytes }: { mostBytes: number }) {
    this.#mostBytes = mostBytes
  }

  /** Memory for a frame of a chunk, and its header. Its content is what was there before. */
  take(chunkBytes: number): Uint8Array {
    let size = leastClassBytes
    while (size < chunkBytes) size *= 2
    const memory = this.#kept(size) ?? frameMemory(rawHeaderBytes + size)
    if (!this.#classes.has(memory)) this.#classes.set(memory, size)
    return frameIn(memory, rawHeaderBytes + chunkBytes)
  }

  /** The smallest that is large enough: how large frames are follows the links, and what is kept would be of no use otherwise. */
  #kept(leastBytes: number): ArrayBuffer | undefined {
    for (let size = leastBytes; size <= largestClassBytes; size *= 2) {
      const memory = this.#free.get(size)?.pop()
      if (memory === undefined) continue
      this.#bytes -= size
      return memory
    }
    return undefined
  }

  /** Takes back what `take` gave, and lets go of anything else. Nobody may look at it any more. */
  give({ buffer }: Uint8Array): void {
    const size = this.#classes.get(buffer)
    if (size === undefined || !(buffer instanceof ArrayBuffer)) return
    if (this.#bytes + size > this.#mostBytes) return
    this.#bytes += size
    const kept = this.#free.get(size)
    if (kept === undefined) this.#free.set(size, [buffer])
    else kept.push(buffer)
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
      frame ??= pool.take(Math.min(frameBytes, length - offset))
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
