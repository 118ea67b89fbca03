/** One file that grows in an ingest worker: gathers chunks into batches and bounds what is under way. */
import { isMarkedAsUntransferable } from 'node:worker_threads'
import type { DigestAlgorithm } from '../../oci/oci.ts'
import type { BlobSums } from '../files/block-sums.ts'
import { asStoreError, type DiskSpace } from '../files/disk-space.ts'
import type { BodySink } from './body.ts'
import type { IngestBudget } from './ingest-budget.ts'
import type { IngestThread } from './ingest-pool.ts'

/**
 * Smaller chunks are gathered by copying: a message of thousands of tiny buffers costs more. Copying large ones, too, into memory that
 * comes back costs this thread what it saves the other.
 */
const smallestTransfer = 64 * 1024
/** Room that small chunks are gathered in: little between two large ones, and twice as much for each that is full. */
const roomBytes = { first: 4 * 1024, most: 64 * 1024 }
/** Of a file that is copied, at a time: others have their turn between two, and room on the disk is asked for so much. */
const sliceBytes = 16 * 1024 * 1024

export interface CopyOptions {
  signal: AbortSignal
  /** Hears of each part that is here. */
  onBytes(bytes: number): void
}

export interface IngestOptions {
  thread: IngestThread
  file: number
  offset: number
  space: DiskSpace
  budget: IngestBudget
  onClosed(): void
}

export class Ingest implements BodySink {
  readonly #options: IngestOptions
  #offset: number
  #staged: Uint8Array<ArrayBuffer>[] = []
  #stagedBytes = 0
  /** How much of the last staged chunk is filled; the rest of it is room for small chunks. */
  #tailRoom = 0
  #nextRoomBytes = roomBytes.first
  #underWayBytes = 0
  #underWay = 0
  #failure: unknown
  #progress: PromiseWithResolvers<void> | undefined
  #closed = false

  constructor(options: IngestOptions) {
    this.#options = options
    this.#offset = options.offset
  }

  /** Where the file stands once everything that was accepted is written. */
  get accepted(): number {
    return this.#offset + this.#underWayBytes + this.#stagedBytes
  }

  /** The thread is gone, and with it the hash: open the file again. */
  get isLost(): boolean {
    return this.#options.thread.isLost || this.#closed
  }

  /** Between `begin` and `end` bytes are expected. */
  begin(): void {
    this.#options.budget.enter()
  }

  /** Resolves when there is room for more. With `transfer`, takes the chunk's memory where that saves a copy. */
  add(chunk: Uint8Array, transfer: boolean): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure
    this.#stage(chunk, transfer)
    return this.#stagedBytes < this.#options.budget.batchBytes ? undefined : this.#postInTurn()
  }

  async #postInTurn(): Promise<void> {
    await this.#post()
    while (this.#underWayBytes >= this.#options.budget.windowBytes) await this.#nextProgress()
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Writes what was accepted. When that failed, the file stands where the last good batch ended, and the failure is thrown. */
  async end(): Promise<void> {
    try {
      if (this.#failure === undefined && this.#stagedBytes > 0) await this.#post()
    } finally {
      this.#options.budget.leave()
      while (this.#underWay > 0) await this.#nextProgress()
    }
    const failure = this.#failure
    if (failure === undefined) return
    this.#failure = undefined
    this.#dropStaged()
    if (!this.isLost) {
      const { offset } = await this.#call('resume')
      this.#offset = offset
    }
    throw failure
  }

  /** Appends the bytes of an open file from where this one stands, up to `size`, or to its end where that comes before. */
  async copy(from: number, size: number, { signal, onBytes }: CopyOptions): Promise<void> {
    const { thread, file, space } = this.#options
    while (this.#offset < size) {
      signal.throwIfAborted()
      const before = this.#offset
      const bytes = Math.min(sliceBytes, size - before)
      await space.take(bytes)
      try {
        this.#offset = (await thread.call({ type: 'copy', file, from, bytes })).offset
      } catch (error) {
        throw asStoreError(error)
      } finally {
        space.settle(bytes)
      }
      if (this.#offset === before) return
      onBytes(this.#offset - before)
    }
  }

  /** Syncs and closes the file; resolves with what its bytes hash to, and the sums of its blocks. */
  async finish(algorithm: DigestAlgorithm, timeMs: number): Promise<{ hex: string } & BlobSums> {
    const { thread, file } = this.#options
    try {
      const answer = await thread.call({ type: 'finish', file, algorithm, timeMs })
      const { hex = '', offset, sums = new Uint8Array() } = answer
      return { hex, size: offset, sums }
    } catch (error) {
      throw asStoreError(error)
    } finally {
      this.#markClosed()
    }
  }

  async close(): Promise<void> {
    if (this.isLost) {
      this.#markClosed()
      return
    }
    try {
      await this.#call('close')
    } finally {
      this.#markClosed()
    }
  }

  #markClosed(): void {
    if (this.#closed) return
    this.#closed = true
    this.#options.onClosed()
  }

  async #call(type: 'resume' | 'close'): Promise<{ offset: number }> {
    return await this.#options.thread.call({ type, file: this.#options.file })
  }

  #stage(chunk: Uint8Array, transfer: boolean): void {
    if (chunk.length === 0) return
    this.#stagedBytes += chunk.length
    if (transfer && chunk.length >= smallestTransfer && isOwn(chunk)) {
      this.#closeTail()
      this.#staged.push(chunk)
      return
    }
    for (let rest = chunk; rest.length > 0; ) {
      if (this.#tailRoom === 0) {
        this.#tailRoom = Math.max(rest.length, this.#nextRoomBytes)
        this.#nextRoomBytes = Math.min(roomBytes.most, 2 * this.#tailRoom)
        this.#staged.push(new Uint8Array(this.#tailRoom))
      }
      const tail = this.#staged.at(-1)
      if (tail === undefined) return
      const part = rest.subarray(0, this.#tailRoom)
      tail.set(part, tail.length - this.#tailRoom)
      this.#tailRoom -= part.length
      rest = rest.subarray(part.length)
    }
    // What lies about in pieces of all sizes until it is collected takes the most room.
    if (transfer && isOwn(chunk)) chunk.buffer.transfer(0)
  }

  /** Cuts the last staged chunk to what it holds. */
  #closeTail(): void {
    this.#nextRoomBytes = roomBytes.first
    const tail = this.#staged.at(-1)
    if (this.#tailRoom === 0 || tail === undefined) return
    this.#staged[this.#staged.length - 1] = tail.subarray(0, tail.length - this.#tailRoom)
    this.#tailRoom = 0
  }

  #dropStaged(): void {
    this.#staged = []
    this.#stagedBytes = 0
    this.#tailRoom = 0
  }

  async #post(): Promise<void> {
    try {
      await this.#options.space.take(this.#stagedBytes)
    } catch (error) {
      this.#dropStaged()
      throw error
    }
    this.#closeTail()
    const chunks = this.#staged
    const bytes = this.#stagedBytes
    this.#dropStaged()
    this.#underWay++
    this.#underWayBytes += bytes
    const { thread, file, space } = this.#options
    const buffers = chunks.map((chunk) => chunk.buffer)
    thread
      .call({ type: 'write', file, chunks }, buffers)
      .then(
        () => {
          this.#offset += bytes
        },
        // The first failure is the telling one: the batches behind it are only refused.
        (error) => {
          this.#failure ??= asStoreError(error)
        },
      )
      .finally(() => {
        space.settle(bytes)
        this.#underWay--
        this.#underWayBytes -= bytes
        this.#progress?.resolve()
      })
  }

  async #nextProgress(): Promise<void> {
    this.#progress = Promise.withResolvers()
    await this.#progress.promise
  }
}

/** Whether the chunk's memory is its own, and may be moved or freed. */
function isOwn(chunk: Uint8Array): chunk is Uint8Array<ArrayBuffer> {
  return (
    chunk.buffer instanceof ArrayBuffer &&
    chunk.byteLength === chunk.buffer.byteLength &&
    !isMarkedAsUntransferable(chunk.buffer)
  )
}
