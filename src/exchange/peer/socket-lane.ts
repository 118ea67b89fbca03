/** Frames over a socket, with backpressure both ways: how the bytes of pieces travel on a direct connection. */
import type { Socket } from 'node:net'
import { Fifo, unlessAborted } from '../../base/base.ts'
import { type Channel, ChannelBrokenError, FrameReader, frameHeader } from '../../wire/wire.ts'
import { maxFrameBytes } from '../protocol/raw-frames.ts'

/** Frames that wait to be received; beyond, the socket is not read. */
const highWaterBytes = 1024 * 1024
/** What a frame costs besides its bytes: a peer may send empty ones. */
const frameCostBytes = 128

export class SocketLane implements Channel {
  readonly #socket: Socket
  readonly #reader = new FrameReader({ maxBytes: maxFrameBytes })
  readonly #frames = new Fifo<Uint8Array>()
  #written: Promise<void> = Promise.resolve()
  #waitingBytes = 0
  #change = Promise.withResolvers<void>()
  #ended = false
  #failure: Error | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Takes the socket over. `onBytes` is called whenever some come, long before a frame is whole on a narrow link. */
  static over(socket: Socket, onBytes: () => void = () => undefined): SocketLane {
    const lane = new SocketLane(socket)
    socket.on('data', (chunk: Uint8Array) => {
      lane.#read(chunk)
      onBytes()
    })
    socket.on('end', () => lane.#end())
    socket.on('error', (cause) => lane.#fail(new ChannelBrokenError('the socket failed', { cause })))
    socket.on('close', () => lane.#fail(new ChannelBrokenError('the socket was closed')))
    return lane
  }

  /** Resolves when the frame before this one is out, whose memory may be used again then. */
  async send(frame: Uint8Array, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    this.#check()
    const before = this.#written
    const written = Promise.withResolvers<void>()
    this.#written = written.promise
    const socket = this.#socket
    socket.cork()
    socket.write(frameHeader(frame.length, maxFrameBytes))
    // Also called when the socket fails, which `#check` tells.
    socket.write(frame, () => written.resolve())
    socket.uncork()
    if (signal === undefined) await before
    else await unlessAborted(before, signal)
    this.#check()
  }

  async receive({ signal }: { signal?: AbortSignal } = {}): Promise<Uint8Array | undefined> {
    for (;;) {
      const frame = this.#frames.shift()
      if (frame !== undefined) {
        this.#waitingBytes -= frame.length + frameCostBytes
        if (this.#socket.isPaused() && this.#waitingBytes < highWaterBytes / 2) this.#socket.resume()
        return frame
      }
      if (this.#ended) return undefined
      this.#check()
      await this.#next(signal)
    }
  }

  async close(): Promise<void> {
    this.#socket.end()
  }

  abort(reason: Error): void {
    this.#fail(new ChannelBrokenError('the lane was given up', { cause: reason }))
    this.#socket.destroy()
  }

  async #next(signal: AbortSignal | undefined): Promise<void> {
    const { promise } = this.#change
    // Listening to a signal costs as much as the rest of a frame; whoever gives none ends its waiting by `abort`.
    if (signal === undefined) await promise
    else await unlessAborted(promise, signal)
  }

  #read(chunk: Uint8Array): void {
    if (this.#failure !== undefined) return
    try {
      for (const frame of this.#reader.push(chunk)) {
        this.#frames.push(frame)
        this.#waitingBytes += frame.length + frameCostBytes
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error : new ChannelBrokenError('no frame', { cause: error }))
      this.#socket.destroy()
    }
    if (this.#waitingBytes > highWaterBytes) this.#socket.pause()
    if (this.#frames.length > 0) this.#news()
  }

  #end(): void {
    try {
      this.#reader.end()
      this.#ended = true
      this.#news()
    } catch (error) {
      this.#fail(error instanceof Error ? error : new ChannelBrokenError('cut short', { cause: error }))
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error
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
