/** Keeps a reserve of the disk free, so that the database never meets a full one. */
import { statfs } from 'node:fs/promises'
import {
  type Clock,
  type Logger,
  LogLimit,
  SingleFlight,
  silentLogger,
  steadyClock,
} from '../../base/base.ts'
import { StoreFullError } from '../errors.ts'

interface DiskUsage {
  sizeBytes: number
  freeBytes: number
}

export async function diskUsage(directory: string): Promise<DiskUsage> {
  const { blocks, bavail, bsize } = await statfs(directory)
  return { sizeBytes: blocks * bsize, freeBytes: bavail * bsize }
}

/** What a look found, and what had been settled when it began: all that was taken since may lack in it. */
interface Look {
  freeBytes: number
  settledBefore: number
}

export class DiskSpace {
  readonly #directory: string
  readonly #reserveBytes: number
  readonly #usage: (directory: string) => Promise<Pick<DiskUsage, 'freeBytes'>>
  readonly #logger: Logger
  readonly #refusals: LogLimit
  readonly #looks = new SingleFlight<Look>()
  /** Bytes in all that were allowed, and of these, that are written or never will be. */
  #taken = 0
  #settled = 0

  constructor(
    directory: string,
    reserveBytes: number,
    {
      usage = diskUsage,
      logger = silentLogger,
      clock = steadyClock,
    }: {
      usage?: (directory: string) => Promise<Pick<DiskUsage, 'freeBytes'>>
      logger?: Logger
      clock?: Clock
    } = {},
  ) {
    this.#directory = directory
    this.#reserveBytes = reserveBytes
    this.#usage = usage
    this.#logger = logger
    this.#refusals = new LogLimit({ clock })
  }

  /** Throws StoreFullError when writing `bytes` would eat into the reserve. Follow it by `settle`. */
  async take(bytes: number): Promise<void> {
    // The disk is asked each time, as others fill it too; those who ask at once share the answer.
    const { freeBytes, settledBefore } = await this.#looks.run('', () => this.#look())
    const room = freeBytes - this.#reserveBytes - (this.#taken - settledBefore)
    if (bytes > room) {
      const error = new StoreFullError(
        `the disk of ${this.#directory} has ${freeBytes} bytes left, of which ${this.#reserveBytes} are kept in reserve`,
      )
      this.#refusals.line('room', (unsaid) => {
        this.#logger.warn({ err: error, unsaid }, 'there is no room on the disk for what is to be stored')
      })
      throw error
    }
    this.#taken += bytes
  }

  /** These bytes are written, or never will be. */
  settle(bytes: number): void {
    this.#settled += bytes
  }

  async #look(): Promise<Look> {
    const settledBefore = this.#settled
    const { freeBytes } = await this.#usage(this.#directory)
    return { freeBytes, settledBefore }
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
