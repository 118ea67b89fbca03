/** The memory that blobs are read into: used again, and smaller for each reader the more of them there are. */
import { markAsUntransferable } from 'node:worker_threads'

const largestBytes = 1024 * 1024
const smallestBytes = 64 * 1024

export class ReadBuffers {
  readonly #budgetBytes: number
  readonly #free = new Map<number, Uint8Array[]>()
  #bytes = 0
  #readers = 0

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes
  }

  /** In use and kept for use together. */
  get bytes(): number {
    return this.#bytes
  }

  get readers(): number {
    return this.#readers
  }

  enter(): void {
    this.#readers++
  }

  leave(): void {
    this.#readers--
  }

  /** Lets go of what is kept for use, where nobody reads. */
  rest(): void {
    if (this.#readers > 0) return
    for (const [size, kept] of this.#free) this.#bytes -= size * kept.length
    this.#free.clear()
  }

  /** A buffer for a reader who still wants `bytes`. */
  take(bytes: number): Uint8Array {
    const share = this.#budgetBytes / (2 * Math.max(1, this.#readers))
    let size = smallestBytes
    while (size < bytes && size * 2 <= Math.min(share, largestBytes)) size *= 2
    const kept = this.#free.get(size)?.pop()
    if (kept !== undefined) return kept
    this.#bytes += size
    const buffer = new Uint8Array(size)
    // A consumer that hands chunks to a worker must not carry the pool's memory away.
    markAsUntransferable(buffer.buffer)
    return buffer
  }

  give(buffer: Uint8Array): void {
    // Beyond the budget there are too many readers for everyone's buffers to be kept.
    if (this.#bytes > this.#budgetBytes) {
      this.#bytes -= buffer.length
      return
    }
    const kept = this.#free.get(buffer.length)
    if (kept === undefined) this.#free.set(buffer.length, [buffer])
    else kept.push(buffer)
  }
}
