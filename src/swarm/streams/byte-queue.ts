/**
 * Bytes that wait to be read, in the chunks in which they came. Small ones are copied together, so that neither memory nor work
 * grows with how many there are.
 */
import { Fifo } from '../../base/base.ts'

/** A chunk below this is copied; one above is kept as it came. */
const smallBytes = 1024
const blockBytes = 4096

export class ByteQueue {
  readonly #chunks = new Fifo<Uint8Array>()
  #length = 0
  /** Where small chunks are copied to. What was written is never written again: a reader may keep it. */
  #block = new Uint8Array(0)
  #written = 0

  get length(): number {
    return this.#length
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#length += chunk.length
    // One message that is taken before the next comes is not copied.
    if (chunk.length >= smallBytes || this.#chunks.length === 0) this.#chunks.push(chunk)
    else this.#copy(chunk)
  }

  /** Copies the next `count` bytes without taking them; fewer when there are not so many. */
  peek(count: number): Uint8Array {
    const bytes = new Uint8Array(Math.min(count, this.#length))
    let offset = 0
    for (const chunk of this.#chunks) {
      if (offset === bytes.length) break
      const part = chunk.subarray(0, bytes.length - offset)
      bytes.set(part, offset)
      offset += part.length
    }
    return bytes
  }

  /** Takes what lies next, at most `max` bytes, without a copy. Throws RangeError when nothing is there. */
  takeChunk(max: number): Uint8Array {
    const { first } = this.#chunks
    if (first === undefined) throw new RangeError('nothing is buffered')
    if (first.length <= max) this.#chunks.shift()
    else this.#chunks.replaceFirst(first.subarray(max))
    const taken = first.length <= max ? first : first.subarray(0, max)
    this.#length -= taken.length
    return taken
  }

  clear(): void {
    this.#chunks.clear()
    this.#length = 0
  }

  #copy(chunk: Uint8Array): void {
    const { last } = this.#chunks
    if (this.#written + chunk.length > this.#block.length) {
      this.#block = new Uint8Array(blockBytes)
      this.#written = 0
    }
    const isNext = last?.buffer === this.#block.buffer && last.byteOffset + last.byteLength === this.#written
    const start = isNext ? last.byteOffset : this.#written
    this.#block.set(chunk, this.#written)
    this.#written += chunk.length
    const whole = this.#block.subarray(start, this.#written)
    if (isNext) this.#chunks.replaceLast(whole)
    else this.#chunks.push(whole)
  }
}
