/** One file that grows in an ingest worker: gathers chunks into rooms that go there and come back, and bounds what is under way. */
import { isMarkedAsUntransferable } from 'node:worker_threads'
import type { DigestAlgorithm } from '../../oci/oci.ts'
import type { BlobSums } from '../files/block-sums.ts'
import { asStoreError, type DiskSpace } from '../files/disk-space.ts'
import type { BodySink } from './body.ts'
import type { IngestBudget } from './ingest-budget.ts'
import type { IngestThread } from './ingest-pool.ts'

/** The first room; from there on a quarter of what came, up to a batch: whoever sends little takes little. */
const firstRoomBytes = 4 * 1024
/** What came back and is not filled again yet: as much as keeps a fast body going. */
const maxSpare = 2
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
  /** What is filled now, and how far. */
  #room: Uint8Array<ArrayBuffer> | undefined
  #filled = 0
  /** Since `begin`. */
  #taken = 0
  readonly #spare: ArrayBuffer[] = []
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
    return this.#offset + this.#underWayBytes + this.#filled
  }

  /** The thread is gone, and with it the hash: open the file again. */
  get isLost(): boolean {
    return this.#options.thread.isLost || this.#closed
  }

  /** Between `begin` and `end` bytes are expected. */
  begin(): void {
    this.#options.budget.enter()
  }

  /** Resolves when there is room for more. With `transfer`, frees the chunk's memory where that is its own. */
  add(chunk: Uint8Array, transfer: boolean): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure
    this.#taken += chunk.length
    const rest = this.#fill(chunk)
    if (rest !== undefined) return this.#goOn(chunk, rest, transfer)
    if (transfer) free(chunk)
    return undefined
  }

  /** Hands over full rooms, and waits where so much is under way that others would have to. */
  async #goOn(chunk: Uint8Array, first: Uint8Array, transfer: boolean): Promise<void> {
    for (let rest: Uint8Array | undefined = first; rest !== undefined; rest = this.#fill(rest)) {
      await this.#post()
      while (this.#underWayBytes >= this.#options.budget.windowBytes) await this.#nextProgress()
      if (this.#failure !== undefined) throw this.#failure
    }
    if (transfer) free(chunk)
  }

  /** Writes what was accepted. When that failed, the file stands where the last good batch ended, and the failure is thrown. */
  async end(): Promise<void> {
    try {
      if (this.#failure === undefined && this.#filled > 0) await this.#post()
    } finally {
      this.#options.budget.leave()
      while (this.#underWay > 0) await this.#nextProgress()
      this.#letGo()
    }
    const failure = this.#failure
    if (failure === undefined) return
    this.#failure = undefined
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

  /** Copies what fits into the room; the rest, which may be nothing, where the room is full then. */
  #fill(chunk: Uint8Array): Uint8Array | undefined {
    if (chunk.length === 0) return undefined
    this.#room ??= this.#nextRoom(chunk.length)
    const part = chunk.subarray(0, this.#room.length - this.#filled)
    this.#room.set(part, this.#filled)
    this.#filled += part.length
    return this.#filled === this.#room.length ? chunk.subarray(part.length) : undefined
  }

  /** One that came back is in the processor's cache, and costs neither the kernel nor the collector anything. */
  #nextRoom(wanted: number): Uint8Array<ArrayBuffer> {
    const spare = this.#spare.pop()
    if (spare !== undefined) return new Uint8Array(spare)
    const size = Math.max(firstRoomBytes, wanted, Math.floor(this.#taken / 4))
    return new Uint8Array(Math.min(size, this.#options.budget.batchBytes))
  }

  #takeBack(memory: ArrayBuffer): void {
    const { batchBytes } = this.#options.budget
    const isOfUse = memory.byteLength <= batchBytes && memory.byteLength > batchBytes / 2
    if (isOfUse && this.#spare.length < maxSpare) this.#spare.push(memory)
    else memory.transfer(0)
  }

  /** Nobody sends: its memory is for those who do. */
  #letGo(): void {
    for (const memory of this.#spare.splice(0)) memory.transfer(0)
    this.#room?.buffer.transfer(0)
    this.#room = undefined
    this.#filled = 0
    this.#taken = 0
  }

  async #post(): Promise<void> {
    const [room, bytes] = [this.#room, this.#filled]
    if (room === undefined) return
    const { thread, file, space } = this.#options
    try {
      await space.take(bytes)
    } finally {
      this.#room = undefined
      this.#filled = 0
    }
    this.#underWay++
    this.#underWayBytes += bytes
    thread
      .call({ type: 'write', file, chunk: room.subarray(0, bytes) }, [room.buffer])
      .then(
        ({ memory }) => {
          this.#offset += bytes
          if (memory !== undefined) this.#takeBack(memory)
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

/** What lies about in pieces of all sizes until it is collected takes the most room. Not what is a part of more. */
function free({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength && !isMarkedAsUntransferable(buffer))
    buffer.transfer(0)
}
