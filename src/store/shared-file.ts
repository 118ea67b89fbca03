/** A file that several read at once, opened by the first of them: opening it for every piece costs as much as reading the piece. */
import { type FileHandle, open } from 'node:fs/promises'
import { readChunks } from './open-blob.ts'
import type { ReadBuffers } from './read-buffers.ts'

export class SharedFile {
  readonly #path: string
  readonly #buffers: ReadBuffers
  #opening: Promise<FileHandle> | undefined
  #readers = 0
  #isOver = false

  constructor(path: string, buffers: ReadBuffers) {
    this.#path = path
    this.#buffers = buffers
  }

  /** Bytes `start` to `end`; a chunk's memory is used again after `next()`. Throws what `open` and `readChunks` throw. */
  async *chunks(start: number, end: number, options?: { signal?: AbortSignal }): AsyncGenerator<Uint8Array> {
    this.#readers++
    try {
      yield* readChunks(await this.#open(), this.#buffers, start, end, options)
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
