/** Sends the pieces that were granted to one asker, one after the other, each read while there is room for it. */
import type { Clock, TokenBucket } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { type Channel, ChannelBrokenError } from '../../wire/wire.ts'
import type { LaneKind } from '../peer/traffic.ts'
import { layoutOf, pieceRange } from '../protocol/piece-size.ts'
import { rawHeaderBytes } from '../protocol/raw-frames.ts'
import type { AskerSession } from './asker-session.ts'
import type { FramePool } from './frame-pool.ts'
import type { Holdings } from './holdings.ts'
import { PieceFrames } from './piece-frames.ts'

export interface SendJob {
  readonly digest: Digest
  readonly piece: number
  /** The asker does not want it any more. */
  isStopped: boolean
  /** The asker has it. */
  isConfirmed: boolean
  /** Gives its slot back; once, however often it is called. */
  release(): void
}

export interface PieceSenderOptions {
  session: AskerSession
  holdings: Holdings
  pool: FramePool
  clock: Clock
  budget?: TokenBucket
  onSent(bytes: number, lane: LaneKind): void
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
  #sent: { lane: Channel; frame: Uint8Array } | undefined
  /** Written, and perhaps still in the buffers of the network. */
  readonly #unconfirmed = new Set<SendJob>()
  #ahead: { job: SendJob; frames: PieceFrames } | undefined
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

  /** The asker has the piece. */
  confirm(digest: Digest, piece: number): void {
    const job = this.#find(digest, piece)
    if (job === undefined) return
    job.isConfirmed = true
    if (this.#unconfirmed.delete(job)) job.release()
  }

  /** Ends the sending of a piece, after the frame that is on its way. */
  stop(digest: Digest, piece: number): void {
    const job = this.#find(digest, piece)
    if (job === undefined) return
    job.isStopped = true
    if (this.#unconfirmed.delete(job)) job.release()
  }

  push(job: SendJob): void {
    this.#jobs.push(job)
    this.#readAhead()
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
    this.#forget()
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
    const onAbort = (): void => {
      this.leaveLane()
      this.#wake.resolve()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        signal.throwIfAborted()
        this.#current = this.#isPaused ? undefined : this.#jobs.shift()
        if (this.#current === undefined) {
          this.#sent = undefined
          await this.#wake.promise
          this.#wake = Promise.withResolvers()
        } else await this.#run(this.#current, signal)
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      for (const job of this.jobs()) job.release()
      this.#forget()
      await this.#ahead?.frames[Symbol.asyncDispose]()
    }
  }

  async #run(job: SendJob, signal: AbortSignal): Promise<void> {
    const ahead = this.#ahead?.job === job ? this.#ahead.frames : undefined
    this.#ahead = ahead === undefined ? this.#ahead : undefined
    await using frames = job.isStopped ? ahead : (ahead ?? this.#read(job))
    let isSent = false
    try {
      this.#readAhead()
      isSent = frames !== undefined && (await this.#send(job, frames, signal))
    } finally {
      if (isSent && !job.isConfirmed) this.#unconfirmed.add(job)
      else job.release()
      this.#current = undefined
    }
  }

  /** What waits for the asker's word may come or not: nobody waits for it any more. */
  #forget(): void {
    for (const job of this.#unconfirmed) job.release()
    this.#unconfirmed.clear()
  }

  #find(digest: Digest, piece: number): SendJob | undefined {
    const isIt = (job: SendJob): boolean => job.digest === digest && job.piece === piece && !job.isStopped
    return [...this.#unconfirmed].find(isIt) ?? this.jobs().find(isIt)
  }

  /** Returns whether all of it was written. */
  async #send(job: SendJob, frames: PieceFrames, signal: AbortSignal): Promise<boolean> {
    // The frames of one piece have to come in order, so they all take the same lane.
    const lane = this.#direct ?? this.#options.session.channel
    while (!job.isStopped) {
      const frame = await this.#next(frames, job)
      if (job.isStopped) return false
      if (frame === undefined) return true
      if (!(await this.#transmit(lane, frame, signal))) return false
    }
    return false
  }

  /** Begins to read what is sent next, while something is being sent. */
  #readAhead(): void {
    const [job] = this.#jobs
    if (job === undefined || this.#ahead !== undefined || this.#current === undefined) return
    const frames = this.#read(job)
    if (frames !== undefined) this.#ahead = { job, frames }
  }

  #read({ digest, piece }: SendJob): PieceFrames | undefined {
    const { session, holdings, pool } = this.#options
    const want = session.holderOf(digest)
    if (want?.holding === undefined) return undefined
    const { start, end } = pieceRange(layoutOf(want.holding.size), piece)
    const chunks = holdings.chunks(digest, start, end)
    return PieceFrames.start({ id: want.id, piece, length: end - start, chunks, pool })
  }

  /** `undefined` at the end, and when the piece cannot be read. */
  async #next(frames: PieceFrames, job: SendJob): Promise<Uint8Array | undefined> {
    try {
      return await frames.next()
    } catch (error) {
      job.isStopped = true
      this.#options.onUnreadable(job.digest, job.piece, error)
      return undefined
    }
  }

  /** Returns whether the lane still is one. */
  async #transmit(lane: Channel, frame: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const { session, pool, clock, budget, onSent } = this.#options
    const waitMs = budget?.take(frame.length, clock.now()) ?? 0
    if (waitMs > 0) await clock.sleep(waitMs, { signal })
    this.#sendingSinceMs = clock.now()
    try {
      await lane.send(frame, lane === session.channel ? { signal } : {})
    } catch (error) {
      if (lane === session.channel) throw error
      signal.throwIfAborted()
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
    onSent(frame.length - rawHeaderBytes, lane === session.channel ? 'channel' : 'direct')
    // The lane may still read this one, and is done with the one before.
    if (this.#sent?.lane === lane) pool.give(this.#sent.frame)
    this.#sent = { lane, frame }
    return true
  }
}
