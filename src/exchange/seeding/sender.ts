/** Sends one downloader the pieces that were granted to it and the lists that it asked for, read a little ahead of the writer. */
import { type Clock, Fifo, type TokenBucket } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import type { FramePool } from '../peer/frame-pool.ts'
import { layoutOf, minPieceBytes, pieceRange } from '../protocol/piece-size.ts'
import { maxChunkBytes, rawHeaderBytes, writeDataHeader } from '../protocol/raw-frames.ts'
import type { Inventory, InventoryItem } from './inventory.ts'

export interface SendJob {
  /** The want that asked for it. */
  readonly id: number
  readonly digest: Digest
  readonly piece: number
  /** The downloader does not want it any more. */
  isStopped: boolean
  /** All of it is written, and perhaps still in the buffers of the network. */
  isWritten: boolean
}

export interface SenderOptions {
  inventory: Pick<Inventory, 'chunks'>
  pool: FramePool
  clock: Clock
  budget?: TokenBucket | undefined
  /** The want of this id, as long as it lasts and the blob is here. */
  want(id: number): { digest: Digest; item: InventoryItem } | undefined
  /** There is something to write. */
  wake(): void
  /** How quickly the downloader takes it, once that is known. */
  bytesPerMs(): number | undefined
  onSent(bytes: number): void
  /** The job is over: the piece arrived, or was stopped, or cannot be read. Once for each. */
  onOver(job: SendJob): void
  /** The piece cannot be read. */
  onUnreadable(digest: Digest, piece: number, error: unknown): void
}

/** Several small pieces, or the frame of a large one that is read while another is written: each neighbour has so much in memory. */
const aheadBytes = 256 * 1024
/** Messages wait behind the frame that is being written: no longer than so, at the rate at which the last ones went. */
const frameMs = 50
/** But a frame by itself costs more than waiting for as much. */
const leastFrameBytes = 128 * 1024
/** What `--max-upload` may be behind before a blob of one small piece waits for it, too: all else waits the longer for that. */
const debtMs = 10_000

interface Frame {
  job: SendJob
  frame: Uint8Array
  isLast: boolean
}

/** What is read one after the other. */
interface Lane {
  readonly waiting: Fifo<SendJob>
  readonly ready: Fifo<Frame>
  readyBytes: number
  /** How far the budget may be overdrawn. */
  readonly debtMs: number
}

export class Sender {
  readonly #options: SenderOptions
  /** Granted, and not over. */
  readonly #jobs = new Set<SendJob>()
  /** Manifests and the like, for which somebody waits, before what takes long anyway. */
  readonly #small: Lane = { waiting: new Fifo(), ready: new Fifo(), readyBytes: 0, debtMs }
  readonly #large: Lane = { waiting: new Fifo(), ready: new Fifo(), readyBytes: 0, debtMs: 0 }
  readonly #lists = new Fifo<Uint8Array>()
  #news = Promise.withResolvers<void>()
  #room = Promise.withResolvers<void>()

  constructor(options: SenderOptions) {
    this.#options = options
  }

  get isIdle(): boolean {
    return this.#jobs.size === 0
  }

  push(id: number, digest: Digest, piece: number): void {
    const job: SendJob = { id, digest, piece, isStopped: false, isWritten: false }
    this.#jobs.add(job)
    const size = this.#options.want(id)?.item.size ?? 0
    const lane = size <= minPieceBytes ? this.#small : this.#large
    lane.waiting.push(job)
    this.#tellNews()
  }

  /** The downloader has the piece. */
  confirm(id: number, piece: number): void {
    const job = this.#find(id, piece)
    if (job?.isWritten === true) this.#over(job)
  }

  /** Ends the sending of a piece, after the frame that is on its way. */
  stop(id: number, piece: number): void {
    const job = this.#find(id, piece)
    if (job === undefined) return
    job.isStopped = true
    this.#over(job)
  }

  /** Sends the frames of a list as long as it is wanted. */
  async give(frames: Iterable<Uint8Array>, isWanted: () => boolean): Promise<void> {
    for (const frame of frames) {
      while (isWanted() && this.#lists.length > 0) await this.#room.promise
      if (!isWanted()) return
      this.#lists.push(frame)
      this.#options.wake()
    }
  }

  /** The next frame to write. */
  next(): Uint8Array | undefined {
    const list = this.#lists.shift()
    if (list !== undefined) {
      this.#makeRoom()
      return list
    }
    for (;;) {
      const entry = takeFrom(this.#small) ?? takeFrom(this.#large)
      this.#makeRoom()
      if (entry === undefined) return undefined
      const { job, frame, isLast } = entry
      if (job.isStopped) {
        this.#options.pool.give(frame.buffer)
        continue
      }
      this.#options.onSent(frame.length)
      job.isWritten = isLast
      return frame
    }
  }

  /** Reads what was granted, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => {
      this.#tellNews()
      this.#makeRoom()
    }
    signal.addEventListener('abort', stop, { once: true })
    await Promise.all([this.#readAll(this.#small, signal), this.#readAll(this.#large, signal)])
    for (const job of this.#jobs) this.#over(job)
  }

  async #readAll(lane: Lane, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const job = lane.waiting.shift()
      if (job !== undefined) await this.#read(job, lane, signal)
      else await this.#news.promise
    }
  }

  async #read(job: SendJob, lane: Lane, signal: AbortSignal): Promise<void> {
    const { inventory, pool, wake, onUnreadable } = this.#options
    const { id, digest, piece } = job
    const want = this.#options.want(id)
    if (want === undefined || want.digest !== digest || job.isStopped) {
      this.#over(job)
      return
    }
    const { start, end } = pieceRange(layoutOf(want.item.size), piece)
    const chunks = inventory.chunks(digest, start, end)
    try {
      for await (const { frame, isLast } of pieceFrames({
        id,
        piece,
        length: end - start,
        chunks,
        pool,
        frameBytes: this.#frameBytes,
      })) {
        await this.#afford(frame.length, lane, signal)
        while (lane.readyBytes >= aheadBytes && !signal.aborted) await this.#room.promise
        if (job.isStopped || signal.aborted) return
        lane.ready.push({ job, frame, isLast })
        lane.readyBytes += frame.length
        wake()
      }
    } catch (error) {
      if (signal.aborted) return
      job.isStopped = true
      this.#over(job)
      onUnreadable(digest, piece, error)
    }
  }

  get #frameBytes(): number {
    return Math.max(leastFrameBytes, (this.#options.bytesPerMs() ?? 0) * frameMs)
  }

  async #afford(bytes: number, lane: Lane, signal: AbortSignal): Promise<void> {
    const { budget, clock } = this.#options
    const waitMs = (budget?.take(bytes, clock.now()) ?? 0) - lane.debtMs
    if (waitMs > 0) await clock.sleep(waitMs, { signal })
  }

  #find(id: number, piece: number): SendJob | undefined {
    for (const job of this.#jobs) if (job.id === id && job.piece === piece) return job
    return undefined
  }

  #over(job: SendJob): void {
    if (this.#jobs.delete(job)) this.#options.onOver(job)
  }

  #tellNews(): void {
    const { resolve } = this.#news
    this.#news = Promise.withResolvers()
    resolve()
  }

  #makeRoom(): void {
    this.#room.resolve()
    this.#room = Promise.withResolvers()
  }
}

function takeFrom(lane: Lane): Frame | undefined {
  const entry = lane.ready.shift()
  if (entry !== undefined) lane.readyBytes -= entry.frame.length
  return entry
}

interface PieceFramesOptions {
  id: number
  piece: number
  /** Of the piece. */
  length: number
  /** Its bytes; a chunk's memory may be used again once the next is asked for. */
  chunks: AsyncIterable<Uint8Array>
  pool: FramePool
  /** At most so many of them in one frame. */
  frameBytes: number
}

/** A piece as the frames that carry it; whoever takes one gives it back to the pool. Throws what reading throws. */
export async function* pieceFrames({
  id,
  piece,
  length,
  chunks,
  pool,
  frameBytes: mostBytes,
}: PieceFramesOptions): AsyncGenerator<{ frame: Uint8Array; isLast: boolean }, void, undefined> {
  // Frames of equal length: what is left over of full ones would cost as much as one of them.
  const frameBytes = Math.ceil(length / Math.ceil(length / Math.min(mostBytes, maxChunkBytes)))
  let offset = 0
  let filled = 0
  let frame: Uint8Array | undefined
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      frame ??= pool.take(rawHeaderBytes + Math.min(frameBytes, length - offset))
      const part = chunk.subarray(at, at + frame.length - rawHeaderBytes - filled)
      frame.set(part, rawHeaderBytes + filled)
      filled += part.length
      at += part.length
      if (rawHeaderBytes + filled < frame.length) continue
      writeDataHeader(frame, { id, piece, offset })
      offset += filled
      yield { frame, isLast: offset === length }
      filled = 0
      frame = undefined
    }
  }
}
