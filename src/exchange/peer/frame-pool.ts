/**
 * The memory of frames, on their way out and in, which is used again: new memory of this size costs more than copying a piece, and
 * what is let go of leaves holes that the process does not give back.
 */
import { isMarkedAsUntransferable } from 'node:worker_threads'
import { frameIn, frameMemory, frameRoomBytes } from '../../wire/wire.ts'
import { maxChunkBytes, rawHeaderBytes } from '../protocol/raw-frames.ts'

/** Of the memory that a frame is put in, beside the chunk. */
const besideBytes = frameRoomBytes + rawHeaderBytes
const classesBytes = [64 * 1024, 128 * 1024, maxChunkBytes]
/** In memory of the pool a smaller frame would leave most of it empty. */
const leastBytes = 32 * 1024
/** Enough for what eight neighbours send at once and what is being proven meanwhile. */
const mostFreeBytes = 8 * 1024 * 1024

export class FramePool {
  /** By their length. */
  readonly #free = new Map<number, ArrayBuffer[]>(
    classesBytes.map((chunkBytes) => [besideBytes + chunkBytes, []]),
  )
  readonly #mostBytes: number
  #bytes = 0

  /** Keeps up to `mostBytes` for use. */
  constructor({ mostBytes }: { mostBytes: number } = { mostBytes: mostFreeBytes }) {
    this.#mostBytes = mostBytes
  }

  /** Memory for a frame of so many bytes. Its content is what was there before. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    const neededBytes = frameRoomBytes + bytes
    for (const [memoryBytes, kept] of this.#free) {
      // How large frames are follows the links: what is kept of another size would be of no use otherwise.
      const memory = memoryBytes < neededBytes ? undefined : kept.pop()
      if (memory === undefined) continue
      this.#bytes -= memoryBytes
      return frameIn(memory, bytes)
    }
    const memoryBytes = [...this.#free.keys()].find((size) => size >= neededBytes) ?? neededBytes
    return frameIn(frameMemory(memoryBytes - frameRoomBytes), bytes)
  }

  /** Where a frame of so many bytes is put that comes. */
  takeFor = (bytes: number): Uint8Array<ArrayBuffer> =>
    bytes < leastBytes ? new Uint8Array(bytes) : this.take(bytes)

  /** Takes back the memory of a frame, also of one that was with another thread meanwhile. Nobody may look at it any more. */
  give(memory: ArrayBufferLike): void {
    if (!(memory instanceof ArrayBuffer) || isMarkedAsUntransferable(memory)) return
    const kept = this.#free.get(memory.byteLength)
    if (kept === undefined || this.#bytes + memory.byteLength > this.#mostBytes) {
      letGo(memory)
      return
    }
    this.#bytes += memory.byteLength
    kept.push(memory)
  }

  /** Lets go of all that it keeps. */
  clear(): void {
    for (const kept of this.#free.values()) for (const memory of kept.splice(0)) letGo(memory)
    this.#bytes = 0
  }
}

/** Now: until the collector comes by, much would have piled up. */
function letGo(memory: ArrayBuffer): void {
  memory.transfer(0)
}
