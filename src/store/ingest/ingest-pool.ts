/** The threads that take in and hash content: started when first needed, replaced when they die. */
import { ClosingError, type Logger } from '../../base/base.ts'
import type { DigestAlgorithm } from '../../oci/oci.ts'
import type { DiskSpace } from '../files/disk-space.ts'
import { startWorker, WorkerThread } from '../threads/worker-thread.ts'
import { Ingest } from './ingest.ts'
import { IngestBudget } from './ingest-budget.ts'
import type { IngestRequest, IngestValue } from './ingest-protocol.ts'

export type IngestThread = WorkerThread<IngestRequest, IngestValue>

const noSums = new Uint8Array()
/** What is hashed between two pauses. */
const paceBytes = 8 * 1024 * 1024

export interface HashOptions {
  signal?: AbortSignal | undefined
  pace?: (() => Promise<void>) | undefined
}

export interface IngestPoolOptions {
  threads: number
  space: DiskSpace
  logger: Logger
}

export class IngestPool implements AsyncDisposable {
  readonly #options: IngestPoolOptions
  readonly #threads: { thread: IngestThread | undefined; users: number }[]
  readonly #budget = new IngestBudget()
  #nextFile = 0
  #closed = false

  constructor(options: IngestPoolOptions) {
    this.#options = options
    this.#threads = Array.from({ length: options.threads }, () => ({ thread: undefined, users: 0 }))
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
        onClosed: () => {
          slot.users--
        },
      })
    } catch (error) {
      slot.users--
      throw error
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
      slot.users--
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await Promise.all(this.#threads.map(async ({ thread }) => await thread?.[Symbol.asyncDispose]()))
  }

  #leastUsed(): { thread: IngestThread | undefined; users: number } {
    if (this.#closed) throw new ClosingError('the store is closed')
    return this.#threads.reduce((least, slot) => (slot.users < least.users ? slot : least))
  }

  #running(slot: { thread: IngestThread | undefined }): IngestThread {
    if (slot.thread !== undefined && !slot.thread.isLost) return slot.thread
    slot.thread = new WorkerThread<IngestRequest, IngestValue>(
      startWorker(import.meta.url, 'ingest-worker'),
      (lost) => {
        if (!this.#closed) this.#options.logger.error({ err: lost }, 'an ingest thread died; it is replaced')
      },
    )
    return slot.thread
  }
}
