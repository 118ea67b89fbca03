/**
 * The connection to one neighbour: frames in order both ways, on a libp2p stream at first and on a direct TLS connection once
 * that is worth it. One writer puts messages before pieces, and what is small into one write with what follows.
 *
 * Each side's last frame on the stream is `moved`; the other reads the stream up to there and goes on on the direct connection.
 * So nothing is lost or told twice. When either breaks, the connection has ended for both. The stream stays open beneath the
 * direct connection: a member whose stream is cut, as when it is banned, is cut off here, too.
 */
import type { Clock } from '../../base/base.ts'
import { type BatchChannel, ChannelBrokenError, MalformedError, TooLargeError } from '../../wire/wire.ts'
import {
  type Answer,
  type Ask,
  decodeFrame,
  encodeMessage,
  isMove,
  type Message,
  type Move as MoveMessage,
} from '../protocol/messages.ts'
import type { RawFrame } from '../protocol/raw-frames.ts'
import { type DirectAccess, Move } from './move.ts'
import { type FrameSource, maxWaiting, Outbox } from './outbox.ts'
import type { Moved } from './rests.ts'
import type { SocketChannel } from './socket-channel.ts'
import type { Way } from './traffic.ts'

export interface ConnectionOptions {
  peer: string
  /** Of the two neighbours one does: it decides when they go over to the direct connection. */
  leads: boolean
  clock: Clock
  access?: DirectAccess | undefined
  source: FrameSource
  /** What the peer says; a promise holds back what comes after it. Throws `MALFORMED`. */
  onFrame(frame: Ask | Answer | RawFrame, way: Way): Promise<void> | undefined
  /** Bytes come, though not necessarily a whole frame. */
  onBytes(): void
}

/** It was ended in order, or another took its place: nobody's fault. */
export class ConnectionOverError extends ChannelBrokenError {}

export class Connection {
  readonly peer: string
  readonly #options: ConnectionOptions
  readonly #move: Move
  readonly #over = new AbortController()
  readonly #outbox: Outbox
  #state: 'opening' | 'unanswered' | 'on-stream' | 'direct' | 'ended' = 'opening'
  #direct: SocketChannel | undefined
  /** Where the writer goes next. */
  #next: SocketChannel | undefined
  #wake = Promise.withResolvers<void>()
  readonly #heard = Promise.withResolvers<boolean>()
  #isClosing = false
  /** Messages are read and written at ticks only. */
  #rests = false

  constructor(options: ConnectionOptions) {
    this.peer = options.peer
    this.#options = options
    this.#outbox = new Outbox(options)
    this.#move = new Move({
      leads: options.leads,
      access: options.access,
      signal: this.#over.signal,
      clock: options.clock,
      send: (message) => this.send(message),
      onReached: (channel) => this.#goTo(channel),
    })
  }

  /** There is no stream yet, so that the peer knows nothing of it. */
  get isOpening(): boolean {
    return this.#state === 'opening'
  }

  /** The peer has said nothing yet. */
  get isUnanswered(): boolean {
    return this.#state === 'opening' || this.#state === 'unanswered'
  }

  /** How what is written now travels. */
  get way(): Way {
    return this.#direct !== undefined && this.#next === undefined ? 'direct' : 'stream'
  }

  /** Whether the peer has said anything, once it has, or the connection has ended. */
  get heard(): Promise<boolean> {
    return this.#heard.promise
  }

  get isDirect(): boolean {
    return this.#state === 'direct'
  }

  get hasEnded(): boolean {
    return this.#state === 'ended' || this.#isClosing
  }

  /** Aborts when it has ended. */
  get signal(): AbortSignal {
    return this.#over.signal
  }

  /** Whether messages wait to be written. */
  get isBehind(): boolean {
    return this.#outbox.waiting > 0
  }

  /** For how long nothing was written. */
  get silentMs(): number {
    return this.#outbox.silentMs
  }

  /** For how long the peer has taken nothing, although something is being written. */
  get blockedMs(): number {
    return this.#outbox.blockedMs
  }

  /** At which the peer takes frames of late, once there were some. */
  get bytesPerMs(): number | undefined {
    return this.#outbox.bytesPerMs
  }

  /** Goes out with the next write, whatever causes it, and by itself with the next `check`. */
  sendAlong(message: Message): void {
    if (this.hasEnded) return
    if (this.#outbox.waiting >= maxWaiting) {
      this.abort(new ChannelBrokenError(`the peer left ${maxWaiting} messages unread`))
      return
    }
    this.#outbox.push(encodeMessage(message))
  }

  send(message: Message): void {
    this.sendAlong(message)
    if (!this.#rests) this.wake()
  }

  /** The source has a frame to send. */
  wake(): void {
    this.#wake.resolve()
  }

  /** To be called every tick; with `rests`, messages wait for that, either way. */
  check({ rests }: { rests: boolean }): void {
    const direct = this.isDirect ? this.#direct : undefined
    const write = (): void => {
      if (this.isBehind) this.wake()
    }
    if (direct === undefined || !(rests || this.#rests)) write()
    else direct.look({ rests }, write)
    this.#rests = rests && direct !== undefined
  }

  /** On the direct connection, since this was asked last. */
  moved(): Moved {
    const direct = this.#direct
    const { receivedBytes, sentBytes } = direct?.moved() ?? { receivedBytes: 0, sentBytes: 0 }
    const isUnderWay = direct?.isInside === true || this.blockedMs > 0
    return { receivedBytes, sentBytes, isUnderWay }
  }

  /** So much is to come that a direct connection is worth its handshake. */
  preferDirect(): void {
    this.#move.begin()
  }

  /** Carries frames until both sides have ended. Throws why it ended, unless that was in order. */
  async run(stream: BatchChannel, came: readonly Uint8Array[] = []): Promise<void> {
    const { signal } = this.#over
    const cut = (): void => {
      stream.abort(asError(signal.reason))
      this.#direct?.abort(asError(signal.reason))
      this.#wake.resolve()
    }
    signal.addEventListener('abort', cut, { once: true })
    if (signal.aborted) cut()
    else this.#state = 'unanswered'
    const writing = this.#ending(this.#write(stream))
    try {
      await this.#ending(this.#read(stream, came))
    } finally {
      // What is still to be sent means nothing to a peer that has ended; the end itself is written.
      if (!this.#isClosing && !signal.aborted) this.close()
      await writing
      this.#end(new ConnectionOverError('the connection has ended'))
    }
    const { reason } = signal
    if (!(reason instanceof ConnectionOverError)) throw reason
  }

  /** Ends it in order: what was sent before still goes out. */
  close(): void {
    this.#isClosing = true
    this.wake()
  }

  /** Gives the peer up. */
  abort(reason: Error): void {
    this.#end(reason)
  }

  #end(reason: Error): void {
    this.#state = 'ended'
    this.#heard.resolve(false)
    this.#over.abort(reason)
  }

  /** A loop of this connection: when it fails, so does the other. */
  async #ending(loop: Promise<void>): Promise<void> {
    try {
      await loop
    } catch (error) {
      this.#end(asError(error))
    }
  }

  async #read(stream: BatchChannel, came: readonly Uint8Array[]): Promise<void> {
    let input: BatchChannel = stream
    for (let frames: readonly Uint8Array[] | undefined = came; frames !== undefined; ) {
      for (const [at, frame] of frames.entries()) {
        const message = decodeFrame(frame)
        if (this.#state === 'unanswered') {
          this.#state = 'on-stream'
          this.#heard.resolve(true)
        }
        if (message.type === 'moved') {
          if (at + 1 < frames.length) throw new MalformedError('frames on the stream behind `moved`')
          if (input !== stream) throw new MalformedError('`moved` on the direct connection')
          input = await this.#follow(stream)
          continue
        }
        const held = this.#take(message)
        // Without a turn in between, what is answered to all that came goes out in one write.
        if (held !== undefined) await held
      }
      frames = await input.receiveAll()
    }
  }

  #take(message: Exclude<Message, { type: 'moved' }> | RawFrame): Promise<void> | undefined {
    if (isMove(message)) {
      this.#move.take(message as Exclude<MoveMessage, { type: 'moved' }>)
      return undefined
    }
    return this.#options.onFrame(message, this.isDirect ? 'direct' : 'stream')
  }

  async #follow(stream: BatchChannel): Promise<SocketChannel> {
    void this.#ending(this.#watch(stream))
    const direct = await this.#move.follow()
    this.#goTo(direct)
    this.#state = 'direct'
    return direct
  }

  /** Nothing comes on the stream any more but its end. */
  async #watch(stream: BatchChannel): Promise<void> {
    const frames = await stream.receiveAll()
    if (frames !== undefined) throw new MalformedError('frames on the stream behind `moved`')
  }

  #goTo(direct: SocketChannel): void {
    if (this.#direct !== undefined) return
    direct.onBytes = () => this.#options.onBytes()
    this.#direct = direct
    this.#next = direct
    this.wake()
  }

  async #write(stream: BatchChannel): Promise<void> {
    for (let out = stream; !this.#over.signal.aborted; ) {
      const batch = this.#outbox.take({ frames: this.#next === undefined && !this.#isClosing })
      const next = batch.frame === undefined ? this.#next : undefined
      if (next !== undefined) batch.parts.push(encodeMessage({ type: 'moved' }))
      if (batch.parts.length === 0) {
        if (this.#isClosing) break
        await this.#wake.promise
        this.#wake = Promise.withResolvers()
        continue
      }
      await this.#outbox.write(batch, (parts) => out.sendAll(parts))
      if (next === undefined) continue
      out = next
      this.#next = undefined
    }
    await Promise.all([stream.close(), this.#direct?.close()])
  }
}

/** Whether the peer has broken the protocol. */
export function isBreach(error: unknown): boolean {
  return error instanceof MalformedError || error instanceof TooLargeError
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new ChannelBrokenError('the connection failed', { cause })
}
