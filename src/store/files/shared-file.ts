/** A file that several read at once, opened by the first of them: opening it for every piece costs as much as reading the piece. */
import { readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { BlobTruncatedError } from '../errors.ts'
import { readChunks } from './open-blob.ts'
import type { ReadBuffers } from './read-buffers.ts'

/** What is read without a pause for whatever else the event loop has to do: it takes about as long as one small request. */
const atOnceBytes = 1024 * 1024

export interface SharedReading {
  signal?: AbortSignal
  /** Whether bytes `start` to `end` still lie in the kernel's memory, as just written ones do. */
  isInMemory?(start: number, end: number): boolean
  /** How long such a read took. */
  onTook?(ms: number): void
}

export class SharedFile {
  readonly #path: string
  readonly #buffers: ReadBuffers
  #opening: Promise<FileHandle> | undefined
  #readers = 0
  #isOver = false
  #atOnce = 0

  constructor(path: string, buffers: ReadBuffers) {
    this.#path = path
    this.#buffers = buffers
  }

  /** Bytes `start` to `end`; a chunk's memory is used again after `next()`. Throws what `open` and `readChunks` throw. */
  async *chunks(start: number, end: number, options: SharedReading = {}): AsyncGenerator<Uint8Array> {
    this.#readers++
    try {
      const file = await this.#open()
      const position = yield* this.#fromMemory(file, start, end, options)
      if (position < end) yield* readChunks(file, this.#buffers, position, end, options)
    } finally {
      this.#readers--
      if (this.#isOver) await this.#closeUnread()
    }
  }

  /** Closes it when the last reader is done. Whoever reads later opens what then lies there. */
  async close(): Promise<void> {
    this.#isOver = true
    await this.#closeUnread()
  }

  /** The thread pool's trip there and back takes several times as long as copying a piece. Returns how far it came. */
  async *#fromMemory(
    file: FileHandle,
    start: number,
    end: number,
    { signal, isInMemory = () => false, onTook }: SharedReading,
  ): AsyncGenerator<Uint8Array, number, undefined> {
    this.#buffers.enter()
    const buffer = this.#buffers.take(end - start)
    const next = (position: number): number => Math.min(buffer.length, end - position)
    let position = start
    try {
      while (position < end && isInMemory(position, position + next(position))) {
        if (this.#atOnce > atOnceBytes) {
          await nextTurn()
          this.#atOnce = 0
        }
        signal?.throwIfAborted()
        const begunMs = performance.now()
        const read = readSync(file.fd, buffer, 0, next(position), position)
        onTook?.(performance.now() - begunMs)
        if (read === 0) throw new BlobTruncatedError(`the blob ends at ${position}, expected ${end} bytes`)
        position += read
        this.#atOnce += read
        yield buffer.subarray(0, read)
      }
      return position
    } finally {
      this.#buffers.give(buffer)
      this.#buffers.leave()
    }
  }

  async #open(): Promise<FileHandle> {
    this.#opening ??= open(this.#path, 'r')
    const opening = this.#opening
    try {
      return await opening
    } catch (error) {
      // There may be too many open files just now: whoever reads next tries again.
      if (this.#opening === opening) this.#opening = undefined
      throw error
    }
  }

  async #closeUnread(): Promise<void> {
    if (this.#readers > 0) return
    const opening = this.#opening
    this.#opening = undefined
    // Whoever opened it has thrown why it could not be.
    const file = await opening?.catch(() => undefined)
    await file?.close()
  }
}
