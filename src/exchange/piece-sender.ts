/** Sends the pieces that were granted to one asker, one after the other, each read while there is room for it. */
import type { Clock } from '../base/base.ts'
import type { Digest } from '../oci/oci.ts'
import { type Channel, ChannelBrokenError } from '../wire/wire.ts'
import type { AskerSession } from './asker-session.ts'
import type { Holdings } from './holdings.ts'
import { layoutOf, pieceRange } from './piece-size.ts'
import { maxChunkBytes, rawHeaderBytes, writeDataHeader } from './raw-frames.ts'
import type { TokenBucket } from './token-bucket.ts'

export interface SendJob {
  readonly digest: Digest
  readonly piece: number
  /** The asker does not want it any more. */
  isStopped: boolean
  /** Gives its slot back; once, however often it is called. */
  release(): void
}

export interface PieceSenderOptions {
  session: AskerSession
  holdings: Holdings
  clock: Clock
  budget?: TokenBucket
  onSent(bytes: number): void
  /** The direct lane broke. Nothing is sent until `reset`. */
  onLaneLost(): void
  /** The piece cannot be read. */
  onUnreadable(digest: Digest, piece: number, error: unknown): void
}

export class PieceSender {
  readonly #options: PieceSenderOptions
  readonly #jobs: SendJob[] = []
  #current: SendJob | undefined
  #direct: Channel | undefined
  #isPaused = false
  #wake = Promise.withResolvers<void>()
  /** When the frame that is being sent was begun. */
  #sendingSinceMs: number | undefined

  constructor(options: PieceSenderOptions) {
    this.#options = options
  }

  /** Everything granted and not sent yet. */
  jobs(): readonly SendJob[] {
    return this.#current === undefined ? this.#jobs : [this.#current, ...this.#jobs]
  }

  /** For how long the asker has taken nothing, although something is being sent. */
  get blockedMs(): number {
    return this.#sendingSinceMs === undefined ? 0 : this.#options.clock.now() - this.#sendingSinceMs
  }

  push(job: SendJob): void {
    this.#jobs.push(job)
    this.#wake.resolve()
  }

  get isDirect(): boolean {
    return this.#direct !== undefined
  }

  /** Sends on this lane from the next piece on. */
  use(lane: Channel): void {
    this.#direct?.abort(new ChannelBrokenError('there is another lane'))
    this.#direct = lane
  }

  /** Forgets what was granted, and sends on the channel again. */
  reset(): void {
    for (const job of this.jobs()) job.isStopped = true
    this.leaveLane()
    this.#isPaused = false
    this.#wake.resolve()
  }

  /** Ends the lane under what is being sent on it. */
  breakLane(): void {
    this.#direct?.abort(new ChannelBrokenError('the lane takes nothing'))
  }

  leaveLane(): void {
    this.#direct?.abort(new ChannelBrokenError('the lane was left'))
    this.#direct = undefined
  }

  /** Until the signal aborts or the channel breaks, which is thrown. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const onAbort = (): void => this.#wake.resolve()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        signal.throwIfAborted()
        this.#current = this.#isPaused ? undefined : this.#jobs.shift()
        if (this.#current === undefined) {
          await this.#wake.promise
          this.#wake = Promise.withResolvers()
        } else await this.#run(this.#current, signal)
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      for (const job of this.jobs()) job.release()
    }
  }

  async #run(job: SendJob, signal: AbortSignal): Promise<void> {
    try {
      if (!job.isStopped) await this.#send(job, signal)
    } finally {
      job.release()
      this.#current = undefined
    }
  }

  async #send(job: SendJob, signal: AbortSignal): Promise<void> {
    const { session } = this.#options
    const want = session.holderOf(job.digest)
    if (want?.holding === undefined) return
    const { start, end } = pieceRange(layoutOf(want.holding.size), job.piece)
    const frames = this.#frames({ job, id: want.id, start, end })
    // The frames of one piece have to come in order, so they all take the same lane.
    const lane = this.#direct ?? session.channel
    for (;;) {
      const next = await this.#next(frames, job)
      if (next === undefined || job.isStopped) return
      if (!(await this.#transmit(lane, next, signal))) return
    }
  }

  /** `undefined` at the end, and when the piece cannot be read. */
  async #next(frames: AsyncGenerator<Uint8Array>, job: SendJob): Promise<Uint8Array | undefined> {
    try {
      const { value, done } = await frames.next()
      return done === true ? undefined : value
    } catch (error) {
      this.#options.onUnreadable(job.digest, job.piece, error)
      return undefined
    }
  }

  /** Returns whether the lane still is one. */
  async #transmit(lane: Channel, frame: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const { session, clock, budget, onSent } = this.#options
    const waitMs = budget?.take(frame.length, clock.now()) ?? 0
    if (waitMs > 0) await clock.sleep(waitMs, { signal })
    this.#sendingSinceMs = clock.now()
    try {
      await lane.send(frame, { signal })
    } catch (error) {
      if (lane === session.channel || signal.aborted) throw error
      // The asker may have lost what was sent before, and tells what it wants again.
      if (lane === this.#direct) {
        this.#direct = undefined
        this.#isPaused = true
        this.#options.onLaneLost()
      }
      return false
    } finally {
      this.#sendingSinceMs = undefined
    }
    session.spoke()
    onSent(frame.length - rawHeaderBytes)
    return true
  }

  async *#frames({
    job,
    id,
    start,
    end,
  }: {
    job: SendJob
    id: number
    start: number
    end: number
  }): AsyncGenerator<Uint8Array, void, undefined> {
    // Frames of equal length: what is left over of full ones would cost as much as one of them.
    const frameBytes = Math.ceil((end - start) / Math.ceil((end - start) / maxChunkBytes))
    let frame: Uint8Array | undefined
    let filled = 0
    let sent = 0
    for await (const chunk of this.#options.holdings.chunks(job.digest, start, end)) {
      for (let at = 0; at < chunk.length; ) {
        // Memory of its own: the channel may keep it, and the chunk's is used again.
        frame ??= Buffer.allocUnsafeSlow(rawHeaderBytes + Math.min(frameBytes, end - start - sent))
        const part = chunk.subarray(at, at + frame.length - rawHeaderBytes - filled)
        frame.set(part, rawHeaderBytes + filled)
        filled += part.length
        at += part.length
        if (rawHeaderBytes + filled < frame.length) continue
        writeDataHeader(frame, { id, piece: job.piece, offset: sent })
        yield frame
        sent += filled
        filled = 0
        frame = undefined
      }
    }
  }
}
