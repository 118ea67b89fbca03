/** Frames over a TLS socket, with backpressure both ways. */
import type { Duplex } from 'node:stream'
import { unlessAborted } from '../../base/base.ts'
import {
  type BatchChannel,
  ChannelBrokenError,
  FrameReader,
  frameBehind,
  frameHeader,
} from '../../wire/wire.ts'
import { maxFrameBytes } from '../protocol/raw-frames.ts'
import type { FramePool } from './frame-pool.ts'
import { handleOf, lendMemory } from './socket-handle.ts'

/** Frames that wait to be received; beyond, the socket is not read. */
const highWaterBytes = 1024 * 1024
/** What a frame costs besides its bytes: a peer may send tiny ones. */
const frameCostBytes = 256
/** A frame below this is copied beside its neighbours, so that many of them are one write. */
const smallBytes = 16 * 1024

export class SocketChannel implements BatchChannel {
  readonly #socket: Duplex
  readonly #reader: FrameReader
  #frames: Uint8Array[] = []
  #waitingBytes = 0
  #written: Promise<void> = Promise.resolve()
  /** Ends the waiting for what is being written. */
  readonly #writing = new Set<() => void>()
  #change = Promise.withResolvers<void>()
  #receivedBytes = 0
  #sentBytes = 0
  #ended = false
  /** Nothing comes but by way of the memory that was lent: there is no buffer for what comes while it is paused. */
  #isLent = false
  #failure: Error | undefined
  /** Called whenever bytes come, long before a frame is whole on a narrow link. */
  onBytes: () => void = () => undefined

  private constructor(socket: Duplex, pool: FramePool | undefined) {
    this.#socket = socket
    this.#reader = new FrameReader({ maxBytes: maxFrameBytes, ...(pool && { memory: pool.takeFor }) })
  }

  /** Takes the socket over. With a pool large frames that come are in its memory. */
  static over(socket: Duplex, pool?: FramePool): SocketChannel {
    const channel = new SocketChannel(socket, pool)
    const take = (chunk: Uint8Array): void => {
      channel.#receivedBytes += chunk.length
      channel.#read(chunk)
      channel.onBytes()
    }
    channel.#isLent = lendMemory(socket, take)
    socket.on('data', take)
    socket.on('end', () => channel.#end())
    socket.on('error', (cause) => channel.#fail(new ChannelBrokenError('the socket failed', { cause })))
    socket.on('close', () => channel.#fail(new ChannelBrokenError('the socket was closed')))
    return channel
  }

  async send(frame: Uint8Array, options?: { signal?: AbortSignal }): Promise<void> {
    await this.sendAll([frame], options)
  }

  /** Resolves when the frames before these are out, whose memory may be used again then. */
  async sendAll(frames: readonly Uint8Array[], { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    this.#check()
    const before = this.#written
    const written = Promise.withResolvers<void>()
    const over = (): void => {
      this.#writing.delete(over)
      written.resolve()
    }
    this.#writing.add(over)
    this.#written = written.promise
    const parts = joined(frames)
    for (const part of parts) this.#sentBytes += part.length
    const last = parts.length - 1
    // What is written corked is copied once more, which one piece alone is spared.
    if (last > 0) this.#socket.cork()
    for (const [at, part] of parts.entries()) {
      if (at < last) this.#socket.write(part)
      else this.#socket.write(part, over)
    }
    if (last > 0) this.#socket.uncork()
    await unlessAborted(before, signal)
    this.#check()
  }

  async receive(options?: { signal?: AbortSignal }): Promise<Uint8Array | undefined> {
    const frames = await this.receiveAll(options)
    const first = frames?.shift()
    if (frames !== undefined) for (const frame of frames) this.#keep(frame)
    return first
  }

  async receiveAll({ signal }: { signal?: AbortSignal } = {}): Promise<Uint8Array[] | undefined> {
    while (this.#frames.length === 0) {
      if (this.#ended) return undefined
      this.#check()
      // Listening to a signal costs as much as the rest; whoever gives none ends its waiting by `abort`.
      await unlessAborted(this.#change.promise, signal)
    }
    const frames = this.#frames
    this.#frames = []
    this.#waitingBytes = 0
    if (this.#socket.isPaused()) this.#socket.resume()
    return frames
  }

  /** Reads what has come by now, calls back, and with `rests` reads nothing more before it is called again. */
  look({ rests }: { rests: boolean }, onRead: () => void): void {
    const handle = handleOf(this.#socket)
    // While it is paused, what lies in its buffer is all that it is to have.
    const hasRoom = !this.#socket.isPaused() || (!this.#isLent && this.#socket.readableLength === 0)
    if (handle?.reading === false && hasRoom) {
      handle.reading = true
      handle.readStart()
    }
    // Sockets are read between a timer and this.
    setImmediate(() => {
      const current = rests ? handleOf(this.#socket) : undefined
      if (current?.reading === true) {
        current.reading = false
        current.readStop()
      }
      onRead()
    })
  }

  /** Whether a frame has begun to come, and is not whole yet. */
  get isInside(): boolean {
    return this.#reader.isInside
  }

  /** Since this was asked last. */
  moved(): { receivedBytes: number; sentBytes: number } {
    const moved = { receivedBytes: this.#receivedBytes, sentBytes: this.#sentBytes }
    this.#receivedBytes = 0
    this.#sentBytes = 0
    return moved
  }

  async close(): Promise<void> {
    this.#socket.end()
  }

  abort(reason: Error): void {
    this.#fail(new ChannelBrokenError('the connection was given up', { cause: reason }))
    this.#socket.destroy()
  }

  #read(chunk: Uint8Array): void {
    if (this.#failure !== undefined) return
    try {
      for (const frame of this.#reader.push(chunk)) this.#keep(frame)
    } catch (error) {
      this.#fail(asError(error))
      this.#socket.destroy()
    }
    if (this.#waitingBytes > highWaterBytes) this.#socket.pause()
    if (this.#frames.length > 0) this.#news()
  }

  #keep(frame: Uint8Array): void {
    this.#frames.push(frame)
    this.#waitingBytes += frame.length + frameCostBytes
  }

  #end(): void {
    try {
      this.#reader.end()
      this.#ended = true
      this.#news()
    } catch (error) {
      this.#fail(asError(error))
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error
    // Not every socket says what became of a write that it was destroyed under.
    for (const over of this.#writing) over()
    this.#news()
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  #news(): void {
    const { resolve } = this.#change
    this.#change = Promise.withResolvers()
    resolve()
  }
}

/** Headers and small frames in one piece each time, in front of a large frame where it has room for them. Throws `TOO_LARGE`. */
function joined(frames: readonly Uint8Array[]): Uint8Array[] {
  const parts: Uint8Array[] = []
  let small: Uint8Array[] = []
  for (const frame of frames) {
    if (frame.length < smallBytes) {
      small.push(frameHeader(frame.length, maxFrameBytes), frame)
      continue
    }
    const whole = frameBehind(small, frame, maxFrameBytes)
    if (whole !== undefined) parts.push(whole)
    else parts.push(Buffer.concat([...small, frameHeader(frame.length, maxFrameBytes)]), frame)
    small = []
  }
  if (small.length > 0) parts.push(Buffer.concat(small))
  return parts
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new ChannelBrokenError('no frame came', { cause })
}
