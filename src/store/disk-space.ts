/** Keeps a reserve of the disk free, so that the database never meets a full one. */
import { statfs } from 'node:fs/promises'
import { StoreFullError } from './errors.ts'

/** How much may be written between two looks at the disk. */
const stepBytes = 64 * 1024 * 1024

export class DiskSpace {
  readonly #directory: string
  readonly #reserveBytes: number
  /** What may still be written before the disk is looked at again; shared by all writers. */
  #allowance = 0

  constructor(directory: string, reserveBytes: number) {
    this.#directory = directory
    this.#reserveBytes = reserveBytes
  }

  /** Throws StoreFullError when writing `bytes` would eat into the reserve. */
  async take(bytes: number): Promise<void> {
    if (bytes <= this.#allowance) {
      this.#allowance -= bytes
      return
    }
    const { bavail, bsize } = await statfs(this.#directory)
    const room = bavail * bsize - this.#reserveBytes
    if (bytes > room) {
      this.#allowance = 0
      throw new StoreFullError(
        `the disk of ${this.#directory} has ${bavail * bsize} bytes left, of which ${this.#reserveBytes} are kept in reserve`,
      )
    }
    this.#allowance = Math.min(room, stepBytes) - bytes
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
