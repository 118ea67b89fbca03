/** The channel on which this node asks one peer for pieces: opened with the first want, shared by all of them. */
import { type Clock, TokenBucket } from '../../base/base.ts'
import { type Channel, ChannelBrokenError, MalformedError, TooLargeError } from '../../wire/wire.ts'
import { type Answer, type Ask, decodeAnswer, encodeAsk, maxWants } from '../protocol/messages.ts'
import type { RawFrame } from '../protocol/raw-frames.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Fault } from './faults.ts'
import { type LaneAccess, LinkLane } from './link-lane.ts'
import { Outbox } from './outbox.ts'
import type { LaneKind } from './traffic.ts'
import { Want, type WantListener } from './want.ts'

export interface PeerLinkOptions {
  peer: string
  clock: Clock
  open(options: { signal: AbortSignal }): Promise<Channel>
  onFault(fault: Fault, facts: object): void
  /** Bytes of pieces and lists that came. */
  onBytes(bytes: number, lane: LaneKind): void
  /** How to get a direct lane; absent where there is none to be had. */
  lane?: LaneAccess
}

const openTimeoutMs = 3000
/** What may come although it was never waited for, before anything was cancelled. */
const firstForgivenBytes = 1024 * 1024
/** `alive`, which holders say every 200 ms at most. What was said during a minute may come at once when a link had stalled. */
const alivePerSecond = 20
const aliveBurst = 60 * alivePerSecond

export class PeerLink {
  readonly peer: string
  readonly #options: PeerLinkOptions
  readonly #wants = new Map<number, Want>()
  readonly #stopping = new AbortController()
  readonly #alive: TokenBucket
  readonly #lane: LinkLane | undefined
  #outbox: Outbox
  #channel: Channel | undefined
  #nextId = 0
  #forgivenBytes = firstForgivenBytes
  #ended = false
  #closing = false
  idleSinceMs: number

  constructor(options: PeerLinkOptions) {
    this.peer = options.peer
    this.#options = options
    const nowMs = options.clock.now()
    this.idleSinceMs = nowMs
    this.#alive = new TokenBucket({
      bytesPerSecond: alivePerSecond,
      burstBytes: aliveBurst,
      nowMs,
    })
    this.#outbox = new Outbox({
      send: async (frame, sending) => await this.#channel?.send(frame, sending),
      abort: (reason) => this.#break(reason),
    })
    this.#lane = options.lane === undefined ? undefined : this.#laneBeside(options.lane)
  }

  get ended(): boolean {
    return this.#ended
  }

  get wants(): number {
    return this.#wants.size
  }

  /** `undefined` when the link has ended, or has as many as the protocol allows. */
  want(wanted: Wanted, listener: WantListener): Want | undefined {
    if (this.#ended || this.#wants.size >= maxWants) return undefined
    while (this.#wants.has(this.#nextId)) this.#nextId = (this.#nextId + 1) & 0xffff
    const id = this.#nextId
    // Answers to an id that was let go may still be on their way, so it is used again as late as can be.
    this.#nextId = (id + 1) & 0xffff
    const want = new Want({
      id,
      wanted,
      listener,
      send: (ask) => this.#send(ask),
      forgive: (bytes) => {
        this.#forgivenBytes += bytes
      },
      stray: (bytes) => this.#stray(bytes),
      now: () => this.#options.clock.now(),
    })
    this.#wants.set(id, want)
    this.#send({ type: 'want', id, ...wanted })
    return want
  }

  /** Ends a want, without a further event. */
  release(want: Want): void {
    if (this.#wants.get(want.id) !== want) return
    want.close()
    this.#wants.delete(want.id)
    this.#send({ type: 'done', id: want.id })
    if (this.#wants.size === 0) this.idleSinceMs = this.#options.clock.now()
  }

  /** Until the channel ends, which every want is told. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const both = AbortSignal.any([signal, this.#stopping.signal])
    try {
      const opening = AbortSignal.any([both, AbortSignal.timeout(openTimeoutMs)])
      const channel = await this.#options.open({ signal: opening })
      this.#channel = channel
      both.throwIfAborted()
      const sending = this.#sendAll(channel, both)
      try {
        await this.#receive(channel, both)
      } finally {
        // When the peer ended or failed, what is still to be sent means nothing to it.
        if (!this.#closing) this.#stopping.abort(new ChannelBrokenError('the peer ended the channel'))
        await sending
      }
    } catch (cause) {
      this.#failed(asError(cause), signal)
    } finally {
      this.#end()
    }
  }

  /** Ends it in order. */
  close(): void {
    this.#ended = true
    this.#closing = true
    this.#outbox.close()
  }

  /** Gives the peer up. */
  abort(reason: Error): void {
    this.#closing = true
    this.#break(reason)
  }

  #break(reason: Error): void {
    this.#channel?.abort(reason)
    this.#stopping.abort(reason)
  }

  async #sendAll(channel: Channel, signal: AbortSignal): Promise<void> {
    try {
      await this.#outbox.run({ signal })
      await channel.close()
    } catch (cause) {
      this.#break(asError(cause))
    }
  }

  async #receive(channel: Channel, signal: AbortSignal): Promise<void> {
    for (;;) {
      const frame = await channel.receive({ signal })
      if (frame === undefined) return
      this.#take(decodeAnswer(frame), 'channel')
    }
  }

  #take(answer: Answer | RawFrame, lane: LaneKind): void {
    if (answer.type === 'alive') {
      if (this.#alive.take(1, this.#options.clock.now()) > 0) throw new MalformedError('endless alive')
      for (const want of this.#wants.values()) want.alive()
      return
    }
    if (answer.type === 'lane-none') {
      this.#lane?.refused()
      return
    }
    if (answer.type === 'lane-offer') {
      if (this.#lane === undefined) throw new MalformedError('a lane that was not asked for')
      this.#lane.offered(answer)
      return
    }
    if ('bytes' in answer) {
      this.#options.onBytes(answer.bytes.length, lane)
      this.#lane?.count(answer.bytes.length)
    }
    const want = this.#wants.get(answer.id)
    if (want !== undefined) want.receive(answer)
    else this.#stray('bytes' in answer ? answer.bytes.length : 0)
  }

  #laneBeside(access: LaneAccess): LinkLane {
    return new LinkLane({
      access,
      clock: this.#options.clock,
      signal: this.#stopping.signal,
      send: (ask) => this.#send(ask),
      onFrame: (frame) => this.#take(frame, 'direct'),
      onAlive: () => {
        for (const want of this.#wants.values()) want.alive()
      },
      onFault: (error) => {
        const isProtocol = error instanceof MalformedError || error instanceof TooLargeError
        this.#options.onFault(isProtocol ? 'protocol' : 'lane', { reason: error.message })
        if (isProtocol) this.abort(error)
      },
      // Everything is asked for again, and comes on the channel.
      onLost: () => {
        for (const want of this.#wants.values()) want.reset()
      },
    })
  }

  /** To be called now and then: gives up a lane that is dead without a sign. */
  check(): void {
    this.#lane?.check([...this.#wants.values()].some(({ waiting }) => waiting > 0))
  }

  #send(ask: Ask): void {
    if (!this.#ended) this.#outbox.push(encodeAsk(ask))
  }

  #stray(bytes: number): void {
    this.#forgivenBytes -= bytes
    if (this.#forgivenBytes < 0) throw new MalformedError('bytes that nobody asked for')
  }

  #failed(error: Error, signal: AbortSignal): void {
    this.#channel?.abort(error)
    if (signal.aborted) return
    const isProtocol = error instanceof MalformedError || error instanceof TooLargeError
    if (isProtocol) this.#options.onFault('protocol', { reason: error.message })
    else if (!this.#closing) this.#options.onFault('broken', { reason: error.message })
  }

  #end(): void {
    this.#ended = true
    this.#stopping.abort(new ChannelBrokenError('the channel has ended'))
    const wants = [...this.#wants.values()]
    this.#wants.clear()
    for (const want of wants) want.end()
  }
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new ChannelBrokenError('the channel failed', { cause })
}
