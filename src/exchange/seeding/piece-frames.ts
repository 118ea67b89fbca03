/** A piece as the frames that carry it, read some frames ahead of whoever sends them. */

import { maxChunkBytes, rawHeaderBytes, writeDataHeader } from '../protocol/raw-frames.ts'
import type { FramePool } from './frame-pool.ts'

export interface PieceFramesOptions {
  id: number
  piece: number
  /** Of the piece. */
  length: number
  /** Its bytes; a chunk's memory may be used again after `next()`. */
  chunks: AsyncIterable<Uint8Array>
  pool: FramePool
}

/** A megabyte: two small pieces, or what a large one takes to be read without a pause. */
const aheadFrames = 4

export class PieceFrames implements AsyncDisposable {
  readonly #pool: FramePool
  readonly #frames: AsyncGenerator<Uint8Array, void, undefined>
  /** Being read or read already, in order. */
  readonly #ahead: Promise<IteratorResult<Uint8Array, void>>[] = []

  private constructor(frames: AsyncGenerator<Uint8Array, void, undefined>, pool: FramePool) {
    this.#pool = pool
    this.#frames = frames
    while (this.#ahead.length < aheadFrames) this.#read()
  }

  /** Begins to read. */
  static start(options: PieceFramesOptions): PieceFrames {
    return new PieceFrames(framesOf(options), options.pool)
  }

  /** The caller gives the frame back to the pool. `undefined` at the end. Throws what reading threw. */
  async next(): Promise<Uint8Array | undefined> {
    const { value, done } = (await this.#ahead.shift()) ?? { value: undefined, done: true }
    if (done === true) return undefined
    this.#read()
    return value
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const ahead of await Promise.allSettled(this.#ahead)) {
      if (ahead.status === 'fulfilled' && ahead.value.done !== true) this.#pool.give(ahead.value.value)
    }
    await this.#frames.return()
  }

  #read(): void {
    const reading = this.#frames.next()
    // Thrown when its turn comes; until then it must not count as unhandled.
    reading.catch(() => undefined)
    this.#ahead.push(reading)
  }
}

async function* framesOf({
  id,
  piece,
  length,
  chunks,
  pool,
}: PieceFramesOptions): AsyncGenerator<Uint8Array, void, undefined> {
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
      yield frame
      offset += filled
      filled = 0
      frame = undefined
    }
  }
}
