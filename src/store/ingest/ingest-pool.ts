/** The threads that take in and hash content: started when needed, ended when nobody does any more, replaced when they die. */
import type { Clock, Logger } from '../../base/base.ts'
import type { DigestAlgorithm } from '../../oci/oci.ts'
import type { DiskSpace } from '../files/disk-space.ts'
import { RestingThread } from '../threads/resting-thread.ts'
import { threadOf, type WorkerThread } from '../threads/worker-thread.ts'
import { Ingest } from './ingest.ts'
import { IngestBudget } from './ingest-budget.ts'
import type { IngestRequest, IngestValue } from './ingest-protocol.ts'
import { PutQueue } from './put-queue.ts'
import type { PutOutcome, WholeFile } from './whole-files.ts'

export type IngestThread = WorkerThread<IngestRequest, IngestValue>
type IngestSlot = RestingThread<IngestRequest, IngestValue>

const noSums = new Uint8Array()
/** What is hashed between two pauses. */
const paceBytes = 8 * 1024 * 1024

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
  readonly #space: DiskSpace
  readonly #threads: [IngestSlot, ...IngestSlot[]]
  readonly #budget: IngestBudget
  readonly #puts = new PutQueue((files) => this.#putAll(files))
  #nextFile = 0

  constructor({ threads, budgetBytes, space, clock, logger }: IngestPoolOptions) {
    this.#space = space
    this.#budget = new IngestBudget(budgetBytes)
    const start = threadOf(import.meta.url, 'ingest-worker')
    const slot = (): IngestSlot => new RestingThread({ start, name: 'an ingest thread', clock, logger })
    this.#threads = [slot(), ...Array.from({ length: threads - 1 }, slot)]
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
    const thread = slot.enter()
    const file = this.#nextFile++
    try {
      const { offset } = await thread.call({ type: 'open', file, path, algorithm })
      return new Ingest({
        thread,
        file,
        offset,
        space: this.#space,
        budget: this.#budget,
        onClosed: () => slot.leave(),
      })
    } catch (error) {
      slot.leave()
      throw error
    }
  }

  /** Makes a small file and gives it its name, durably; resolves to how much of the disk what had the name took. */
  async put(file: WholeFile): Promise<number> {
    return await this.#puts.put(file)
  }

  /** Hashes a whole file; with `pace`, some of it at a time, with `pace` awaited in between. */
  async hash(
    path: string,
    algorithm: DigestAlgorithm,
    { signal, pace }: HashOptions = {},
  ): Promise<{ hex: string; size: number; inode: number; sums: Uint8Array }> {
    const slot = this.#leastUsed()
    const thread = slot.enter()
    const file = this.#nextFile++
    const stop = (): void => {
      // The answer to the hash itself says how it ended.
      thread.call({ type: 'stop', file }).catch(() => undefined)
    }
    let isUnderWay = false
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
      slot.leave()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.map((slot) => slot[Symbol.asyncDispose]()))
  }

  /** All in one thread, which bounds how many are synced at once. */
  async #putAll(files: WholeFile[]): Promise<PutOutcome[]> {
    const [slot] = this.#threads
    const thread = slot.enter()
    try {
      const { puts = [] } = await thread.call({ type: 'put', file: this.#nextFile++, files })
      return puts
    } finally {
      slot.leave()
    }
  }

  #leastUsed(): IngestSlot {
    return this.#threads.reduce((least, slot) => (slot.users < least.users ? slot : least))
  }
}
