/** The bytes of a small upload, in memory alone until it is finished: no file, no row and no thread before all of it can be made durable at once. */

/** Of one upload. */
const maxBytes = 64 * 1024

/** Memory that all of them share; where that is taken, uploads go to the disk as they come. */
export class HeldRoom {
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes = 8 * 1024 * 1024) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#maxBytes) return false
    this.#bytes += bytes
    return true
  }

  give(bytes: number): void {
    this.#bytes -= bytes
  }
}

export class HeldBytes implements Disposable {
  readonly #shared: HeldRoom
  /** One room for all of it: a body may come byte by byte. */
  #room = new Uint8Array()
  #length = 0

  constructor(shared: HeldRoom) {
    this.#shared = shared
  }

  get length(): number {
    return this.#length
  }

  get bytes(): Uint8Array {
    return this.#room.subarray(0, this.#length)
  }

  /** Whether it may be held at all, with so many bytes more. */
  fits(more: number): boolean {
    return this.#length + more <= maxBytes
  }

  /** False where there is no memory for it; nothing of it was added then. */
  add(chunk: Uint8Array): boolean {
    const length = this.#length + chunk.length
    if (length > this.#room.length && !this.#grow(Math.max(length, 2 * this.#room.length))) return false
    this.#room.set(chunk, this.#length)
    this.#length = length
    return true
  }

  [Symbol.dispose](): void {
    this.#shared.give(this.#room.length)
    this.#room = new Uint8Array()
    this.#length = 0
  }

  #grow(size: number): boolean {
    if (!this.#shared.take(size - this.#room.length)) return false
    const room = new Uint8Array(size)
    room.set(this.bytes)
    this.#room = room
    return true
  }
}
