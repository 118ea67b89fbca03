/** Keeps a reserve of the disk free, so that the database never meets a full one. */
import { statfs } from 'node:fs/promises'
import { Semaphore } from '../base/base.ts'
import { StoreFullError } from './errors.ts'

export async function diskUsage(directory: string): Promise<{ sizeBytes: number; freeBytes: number }> {
  const { blocks, bavail, bsize } = await statfs(directory)
  return { sizeBytes: blocks * bsize, freeBytes: bavail * bsize }
}

/** How much may be written between two looks at the disk. */
const stepBytes = 64 * 1024 * 1024

export class DiskSpace {
  readonly #directory: string
  readonly #reserveBytes: number
  /** What may still be written before the disk is looked at again; shared by all writers. */
  #allowance = 0
  /** Taken, but perhaps not written yet: the disk does not show these. */
  #pending = 0
  /** One look at a time: two at once would both grant the same room. */
  readonly #looking = new Semaphore(1)

  constructor(directory: string, reserveBytes: number) {
    this.#directory = directory
    this.#reserveBytes = reserveBytes
  }

  /** Throws StoreFullError when writing `bytes` would eat into the reserve. Follow it by `settle`. */
  async take(bytes: number): Promise<void> {
    if (bytes <= this.#allowance) this.#grant(bytes)
    else
      await this.#looking.run(async () => {
        if (bytes > this.#allowance) await this.#look(bytes)
        this.#grant(bytes)
      })
  }

  /** These bytes are written, or never will be. */
  settle(bytes: number): void {
    this.#pending -= bytes
  }

  #grant(bytes: number): void {
    this.#allowance -= bytes
    this.#pending += bytes
  }

  async #look(bytes: number): Promise<void> {
    const { freeBytes } = await diskUsage(this.#directory)
    const room = freeBytes - this.#reserveBytes - this.#pending
    if (bytes > room) {
      this.#allowance = 0
      throw new StoreFullError(
        `the disk of ${this.#directory} has ${freeBytes} bytes left, of which ${this.#reserveBytes} are kept in reserve`,
      )
    }
    this.#allowance = Math.max(bytes, Math.min(room, stepBytes))
  }
}

/** A failed write as the store reports it: StoreFullError when there was no room, else unchanged. */
export function asStoreError(error: unknown): unknown {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const full =
      'code' in cause && (cause.code === 'ENOSPC' || cause.code === 'EDQUOT')
        ? true
        : /no space left|disk quota exceeded/i.test(cause.message)
    if (full) return new StoreFullError('the disk is full', { cause: error })
  }
  return error
}
