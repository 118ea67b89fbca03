/** The threads that take in and hash content: started when needed, ended when nobody does any more, replaced when they die. */
import { Background, type Clock, ClosingError, type Logger } from '../../base/base.ts'
import type { DigestAlgorithm } from '../../oci/oci.ts'
import type { DiskSpace } from '../files/disk-space.ts'
import { startWorker, WorkerThread } from '../threads/worker-thread.ts'
import { Ingest } from './ingest.ts'
import { IngestBudget } from './ingest-budget.ts'
import type { IngestRequest, IngestValue } from './ingest-protocol.ts'
import type { WholeFile } from './whole-file.ts'

export type IngestThread = WorkerThread<IngestRequest, IngestValue>

const noSums = new Uint8Array()
/** What is hashed between two pauses. */
const paceBytes = 8 * 1024 * 1024

/** A thread takes some 15 MiB, and 50 ms to start. */
const restsAfterMs = 30_000

interface Slot {
  thread: IngestThread | undefined
  /** Files that are open in it, and calls. */
  users: number
  usedMs: number
  isWatched: boolean
}

export interface HashOptions {
  signal?: AbortSignal | undefined
  pace?: (() => Promise<void>) | undefined
}

export interface IngestPoolOptions {
  threads: number
  /** For bytes on their way to the disk; default 32 MiB. */
  budgetBytes?: number | undefined
  space: DiskSpace
  clock: Clock
  logger: Logger
}

export class IngestPool implements AsyncDisposable {
  readonly #options: IngestPoolOptions
  readonly #threads: Slot[]
  readonly #background: Background
  readonly #budget: IngestBudget
  #nextFile = 0
  #closed = false

  constructor(options: IngestPoolOptions) {
    this.#options = options
    this.#budget = new IngestBudget(options.budgetBytes)
    this.#background = new Background('the store', options.logger)
    this.#threads = Array.from({ length: options.threads }, () => {
      return { thread: undefined, users: 0, usedMs: 0, isWatched: false }
    })
  }

  /** How many files it can hash at once. */
  get size(): number {
    return this.#threads.length
  }

  /** Whether bodies are coming in. */
  get isBusy(): boolean {
    return this.#budget.isBusy
  }

  /** Opens a file to append to it; what it holds already is hashed first. */
  async open(path: string, algorithm: DigestAlgorithm): Promise<Ingest> {
    const slot = this.#leastUsed()
    const thread = this.#running(slot)
    const file = this.#nextFile++
    slot.users++
    try {
      const { offset } = await thread.call({ type: 'open', file, path, algorithm })
      return new Ingest({
        thread,
        file,
        offset,
        space: this.#options.space,
        budget: this.#budget,
        onClosed: () => this.#leave(slot),
      })
    } catch (error) {
      this.#leave(slot)
      throw error
    }
  }

  /** Makes a small file and gives it its name, durably; resolves to how much of the disk what had the name took. */
  async put(file: WholeFile): Promise<number> {
    // All in one thread, which bounds how many are synced at once.
    const [slot = this.#leastUsed()] = this.#threads
    if (this.#closed) throw new ClosingError('the store is closed')
    slot.users++
    try {
      const request = { type: 'put', file: this.#nextFile++, ...file } as const
      return (await this.#running(slot).call(request)).replacedBytes ?? 0
    } finally {
      this.#leave(slot)
    }
  }

  /** Hashes a whole file; with `pace`, some of it at a time, with `pace` awaited in between. */
  async hash(
    path: string,
    algorithm: DigestAlgorithm,
    { signal, pace }: HashOptions = {},
  ): Promise<{ hex: string; size: number; inode: number; sums: Uint8Array }> {
    const slot = this.#leastUsed()
    const thread = this.#running(slot)
    const file = this.#nextFile++
    const stop = (): void => {
      // The answer to the hash itself says how it ended.
      thread.call({ type: 'stop', file }).catch(() => undefined)
    }
    let isUnderWay = false
    slot.users++
    signal?.addEventListener('abort', stop, { once: true })
    try {
      signal?.throwIfAborted()
      const bytes = pace === undefined ? Number.POSITIVE_INFINITY : paceBytes
      let answer = await thread.call({ type: 'hash', file, path, algorithm, bytes })
      isUnderWay = true
      while (answer.hex === undefined) {
        await pace?.()
        answer = await thread.call({ type: 'hash-on', file, bytes })
      }
      isUnderWay = false
      signal?.throwIfAborted()
      const { hex, offset, inode = 0, sums = noSums } = answer
      return { hex, size: offset, inode, sums }
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    } finally {
      // A thread that died has left it.
      if (isUnderWay && !thread.isLost) await thread.call({ type: 'leave', file })
      signal?.removeEventListener('abort', stop)
      this.#leave(slot)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.#background[Symbol.asyncDispose]()
    await Promise.all(this.#threads.map(async ({ thread }) => await thread?.[Symbol.asyncDispose]()))
  }

  #leastUsed(): Slot {
    if (this.#closed) throw new ClosingError('the store is closed')
    return this.#threads.reduce((least, slot) => (slot.users < least.users ? slot : least))
  }

  #running(slot: Slot): IngestThread {
    if (slot.thread !== undefined && !slot.thread.isLost) return slot.thread
    const thread = new WorkerThread<IngestRequest, IngestValue>(
      startWorker(import.meta.url, 'ingest-worker'),
      (lost) => {
        if (this.#closed || slot.thread !== thread) return
        this.#options.logger.error({ err: lost }, 'an ingest thread died; it is replaced')
      },
    )
    slot.thread = thread
    return thread
  }

  #leave(slot: Slot): void {
    slot.users--
    slot.usedMs = this.#options.clock.now()
    if (slot.users > 0 || slot.isWatched) return
    slot.isWatched = true
    this.#background.start('ending idle threads', (signal) => this.#endWhenIdle(slot, signal))
  }

  async #endWhenIdle(slot: Slot, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    try {
      while (slot.users === 0) {
        const leftMs = slot.usedMs + restsAfterMs - clock.now()
        if (leftMs <= 0) break
        await clock.sleep(leftMs, { signal })
      }
    } finally {
      slot.isWatched = false
    }
    if (slot.users > 0) return
    const { thread } = slot
    slot.thread = undefined
    await thread?.[Symbol.asyncDispose]()
    logger.debug({}, 'ended a thread that was idle')
  }
}
