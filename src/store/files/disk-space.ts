/** Keeps a reserve of the disk free, so that the database never meets a full one. */
import { statfs } from 'node:fs/promises'
import {
  type Clock,
  formatBytes,
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

/** What may be filled, be it the disk or less of it. */
export interface DiskLimit {
  readonly maxBytes: number
  readonly filledBytes: number
  /** Resolves once `filledBytes` is known. */
  look(): Promise<void>
  /** These bytes are about to be written. */
  add(bytes: number): void
  /** They never will be, or are gone again. */
  remove(bytes: number): void
}

/** Makes room while more than nothing is missing. `missing` looks anew each time. */
export type RoomMaker = (missing: () => Promise<number>) => Promise<void>

/** What a look found, and what had been settled when it began: all that was taken since may lack in it. */
interface Look {
  freeBytes: number
  settledBefore: number
  /** Monotonic. */
  atMs: number
}

/** A look is good for so long where it left so much: nobody else writes 10 GB in a second. */
const lookMs = 100
const ampleBytes = 1024 ** 3

export class DiskSpace {
  readonly #directory: string
  readonly #reserveBytes: number
  readonly #usage: (directory: string) => Promise<Pick<DiskUsage, 'freeBytes'>>
  readonly #logger: Logger
  readonly #refusals: LogLimit
  readonly #limit: DiskLimit | undefined
  readonly #makeRoom: RoomMaker | undefined
  readonly #onTaken: () => void
  readonly #looks = new SingleFlight<Look>()
  readonly #clock: Clock
  #last: Look | undefined
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
      limit,
      makeRoom,
      onTaken = () => undefined,
    }: {
      usage?: (directory: string) => Promise<Pick<DiskUsage, 'freeBytes'>>
      logger?: Logger
      clock?: Clock
      limit?: DiskLimit | undefined
      makeRoom?: RoomMaker
      onTaken?: () => void
    } = {},
  ) {
    this.#directory = directory
    this.#reserveBytes = reserveBytes
    this.#usage = usage
    this.#logger = logger
    this.#refusals = new LogLimit({ clock })
    this.#clock = clock
    this.#limit = limit
    this.#makeRoom = makeRoom
    this.#onTaken = onTaken
  }

  /** Makes room where that can be done. Throws StoreFullError when writing `bytes` would eat into the reserve, or pass the limit. Follow it by `settle`. */
  async take(bytes: number): Promise<void> {
    // The disk is asked again, as others fill it too; those who ask at once share the answer.
    const look = this.#ample(bytes) ?? (await this.#looks.run('', () => this.#look()))
    let room = this.#roomOf(look)
    if (bytes > room && this.#makeRoom !== undefined) {
      await this.#makeRoom(async () => bytes - (await this.left()))
      room = this.#roomOf(await this.#look())
    }
    if (bytes > room) this.#refuse(look)
    this.#taken += bytes
    this.#limit?.add(bytes)
    this.#onTaken()
  }

  /** These bytes are written, or never will be. */
  settle(bytes: number): void {
    this.#settled += bytes
  }

  /** These bytes, which were taken, never will be written. */
  giveBack(bytes: number): void {
    this.settle(bytes)
    this.#limit?.remove(bytes)
  }

  /** What may be taken now; less than nothing where others took of the reserve. */
  async left(): Promise<number> {
    return this.#roomOf(await this.#look())
  }

  async #look(): Promise<Look> {
    const settledBefore = this.#settled
    const atMs = this.#clock.now()
    await this.#limit?.look()
    const { freeBytes } = await this.#usage(this.#directory)
    this.#last = { freeBytes, settledBefore, atMs }
    return this.#last
  }

  /** The last look, where it is young and left far more than is asked for. */
  #ample(bytes: number): Look | undefined {
    const look = this.#last
    if (look === undefined || this.#clock.now() - look.atMs > lookMs) return undefined
    return this.#roomOf(look) - bytes >= ampleBytes ? look : undefined
  }

  /** Not asynchronous: of those who share a look, each sees what the one before took. */
  #roomOf({ freeBytes, settledBefore }: Look): number {
    const onDisk = freeBytes - this.#reserveBytes - (this.#taken - settledBefore)
    return Math.min(
      onDisk,
      this.#limit === undefined ? onDisk : this.#limit.maxBytes - this.#limit.filledBytes,
    )
  }

  #refuse({ freeBytes }: Look): never {
    const limit = this.#limit
    const isLimit = limit !== undefined && limit.maxBytes - limit.filledBytes < freeBytes - this.#reserveBytes
    const error = new StoreFullError(
      isLimit
        ? `${this.#directory} takes ${formatBytes(limit.filledBytes)} of the ${formatBytes(limit.maxBytes)} that it may (--max-disk), and nothing of that may go; ${whatToDo}`
        : `the disk of ${this.#directory} has ${formatBytes(freeBytes)} left, and ${formatBytes(this.#reserveBytes)} are to stay free (--min-free); ${whatToDo}`,
    )
    this.#refusals.line('room', (unsaid) => {
      this.#logger.warn({ err: error, unsaid }, 'there is no room on the disk for what is to be stored')
    })
    throw error
  }
}

const whatToDo =
  'on that host, shoal gc --grace 0s removes what broken pushes left, shoal gc --plan says what else may go, shoal rm removes images'

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
