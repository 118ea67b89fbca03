/** How much of the disk a node takes, walked again only when the last walk is old for what it cost. */
import { readdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, ClosingError } from '../src/base/base.ts'
import type { FileStore, RoomStatus } from '../src/store/store.ts'

export interface DiskUsage {
  blobs: number
  blobBytes: number
  /** Blobs on their way here, as large as they will be. */
  partials: number
  partialBytes: number
  /** Files that did not hash to their names. */
  quarantined: number
  /** When the store was walked. */
  measuredMs: number
  /** Of the file system that the data directory is on; free is what this process may still write. */
  totalBytes: number
  freeBytes: number
  /** Uploads are refused below it. */
  minFreeBytes: number
  /** What the data directory may take, and takes; absent without --max-disk. */
  limit?: NonNullable<RoomStatus['limit']>
}

type Walked = Omit<DiskUsage, 'totalBytes' | 'freeBytes' | 'minFreeBytes' | 'limit'>

/** The share of time that walking may take while somebody keeps asking. */
const walkShare = 0.1
/** For whom an older walk is good enough. */
const oldWalkShare = 0.01
const minAgeMs = 1_000

export interface DiskMeterOptions {
  directory: string
  store: Pick<FileStore, 'blobs' | 'partials' | 'room'>
  minFreeBytes: number
  clock: Clock
}

export class DiskMeter implements Disposable {
  readonly #options: DiskMeterOptions
  #walk: Promise<Walked> | undefined
  #staleMs = 0
  #oldMs = 0
  readonly #closing = new AbortController()

  constructor(options: DiskMeterOptions) {
    this.#options = options
  }

  /** What is free, or limited, is as it is now; `mayBeOld` is for who asks on and on, and for whom blobs need not be exact. */
  async measure({ mayBeOld = false } = {}): Promise<DiskUsage> {
    const { directory, minFreeBytes, store } = this.#options
    const [{ bavail, blocks, bsize }, walked] = await Promise.all([statfs(directory), this.#walked(mayBeOld)])
    const onDisk = { totalBytes: blocks * bsize, freeBytes: bavail * bsize, minFreeBytes }
    return { ...walked, ...onDisk, ...store.room.status() }
  }

  /** Ends a walk that is under way. */
  [Symbol.dispose](): void {
    this.#closing.abort(new ClosingError('the node stops'))
  }

  /** Whoever asks while a walk is under way waits for that one. */
  #walked(mayBeOld: boolean): Promise<Walked> {
    const untilMs = mayBeOld ? Math.max(this.#staleMs, this.#oldMs) : this.#staleMs
    if (this.#walk !== undefined && this.#options.clock.now() < untilMs) return this.#walk
    this.#staleMs = Number.POSITIVE_INFINITY
    this.#oldMs = 0
    this.#walk = this.#walkAgain()
    return this.#walk
  }

  async #walkAgain(): Promise<Walked> {
    const { directory, store, clock } = this.#options
    const begunMs = clock.now()
    try {
      const walked = { blobs: 0, blobBytes: 0, measuredMs: begunMs }
      for await (const { size } of store.blobs.list({ signal: this.#closing.signal })) {
        walked.blobs++
        walked.blobBytes += size
      }
      const partials = await store.partials.list()
      const partialBytes = partials.reduce((sum, { size }) => sum + size, 0)
      const quarantined = (await readdir(join(directory, 'quarantine'))).length
      const endMs = clock.now()
      this.#oldMs = endMs + (endMs - begunMs) / oldWalkShare
      return { ...walked, partials: partials.length, partialBytes, quarantined }
    } finally {
      const endMs = clock.now()
      this.#staleMs = endMs + Math.max(minAgeMs, (endMs - begunMs) / walkShare)
    }
  }
}
