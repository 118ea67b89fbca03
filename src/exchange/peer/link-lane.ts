/** The direct lane beside an asker's channel: asked for once it is worth it, watched, and given up when it fails. */
import type { Clock } from '../../base/base.ts'
import { type Channel, ChannelBrokenError, MalformedError } from '../../wire/wire.ts'
import type { Ask } from '../protocol/messages.ts'
import { parseRawFrame, type RawFrame } from '../protocol/raw-frames.ts'
import { LaneError, type LaneOffer } from './direct-lanes.ts'

export interface LaneAccess {
  /** Of this node's certificate. */
  readonly fingerprint: Uint8Array
  /** Throws LaneError. `onBytes` is called whenever some come. */
  connect(offer: LaneOffer, options: { signal: AbortSignal; onBytes: () => void }): Promise<Channel>
  /** Runs in the background until it ends. */
  start(work: (signal: AbortSignal) => Promise<void>): void
  /** It failed, and is not to be tried again for a while. */
  onFailed(): void
}

export interface LinkLaneOptions {
  access: LaneAccess
  clock: Clock
  /** Aborts when the channel ends, and the lane with it. */
  signal: AbortSignal
  send(ask: Ask): void
  /** Throws `MALFORMED`. */
  onFrame(frame: RawFrame): void
  /** Bytes come, though not necessarily a whole frame. */
  onAlive(): void
  /** The lane failed or sent what it may not. */
  onFault(error: Error): void
  /** What was on the lane is lost. */
  onLost(): void
}

/** What has to come before a direct lane is worth its handshake. */
const worthBytes = 512 * 1024
/**
 * A lane on which nothing comes although pieces are waited for: the peer may be serving others for a while, or TCP be waiting
 * after losses. Readers do not wait that long, since late pieces are asked of others too.
 */
const silentMs = 30_000
/** While bytes come, that is told so often. */
const signOfLifeMs = 50

export class LinkLane {
  readonly #options: LinkLaneOptions
  #state: 'none' | 'asked' | 'connecting' | 'open' | 'over' = 'none'
  #lane: Channel | undefined
  #receivedBytes = 0
  #movedMs = 0
  #toldMs = 0

  constructor(options: LinkLaneOptions) {
    this.#options = options
  }

  /** Pieces came from the peer, on whichever way. */
  count(bytes: number): void {
    this.#receivedBytes += bytes
    if (this.#state !== 'none' || this.#receivedBytes < worthBytes) return
    this.#state = 'asked'
    this.#options.send({ type: 'lane-ask', fingerprint: this.#options.access.fingerprint })
  }

  /** The holder has no lane to offer, or has found it broken. */
  refused(): void {
    if (this.#state === 'asked') this.#state = 'over'
    this.#lane?.abort(new ChannelBrokenError('the holder gave the lane up'))
  }

  /** Throws `MALFORMED` when no lane was asked for. */
  offered(offer: LaneOffer): void {
    if (this.#state !== 'asked') throw new MalformedError('a lane that was not asked for')
    this.#state = 'connecting'
    const { access, signal } = this.#options
    access.start(async (stop) => await this.#use(offer, AbortSignal.any([stop, signal])))
  }

  /** To be called now and then: gives up a lane that is dead without a sign. */
  check(isWaiting: boolean): void {
    if (this.#state !== 'open') return
    const nowMs = this.#options.clock.now()
    if (!isWaiting) this.#movedMs = nowMs
    else if (nowMs - this.#movedMs > silentMs) {
      this.#lane?.abort(new ChannelBrokenError('nothing comes on the lane'))
    }
  }

  async #use(offer: LaneOffer, signal: AbortSignal): Promise<void> {
    const { access, clock, onFault } = this.#options
    let isHalfOpen = true
    try {
      this.#lane = await access.connect(offer, { signal, onBytes: () => this.#moved() })
      this.#state = 'open'
      this.#movedMs = clock.now()
      await this.#receive(this.#lane, signal)
    } catch (error) {
      if (error instanceof LaneError) isHalfOpen = error.isHalfOpen
      if (!signal.aborted) onFault(error instanceof Error ? error : new LaneError('failed', { cause: error }))
    }
    this.#lane?.abort(new ChannelBrokenError('the lane is over'))
    this.#lane = undefined
    this.#state = 'over'
    if (signal.aborted) return
    access.onFailed()
    if (!isHalfOpen) return
    this.#options.send({ type: 'lane-lost' })
    this.#options.onLost()
  }

  async #receive(lane: Channel, signal: AbortSignal): Promise<void> {
    const onAbort = (): void => lane.abort(new ChannelBrokenError('the channel has ended'))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      signal.throwIfAborted()
      for (;;) {
        const frame = await lane.receive()
        if (frame === undefined) return
        this.#options.onFrame(parseRawFrame(frame))
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** A part of a frame is a sign of life, too. */
  #moved(): void {
    const nowMs = this.#options.clock.now()
    this.#movedMs = nowMs
    if (nowMs - this.#toldMs < signOfLifeMs) return
    this.#toldMs = nowMs
    this.#options.onAlive()
  }
}
