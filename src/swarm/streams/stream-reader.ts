/** A bounded pull reader over a libp2p stream: what the consumer does not take, the peer cannot send. */
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { noteSpent } from '../../base/base.ts'
import { ChannelBrokenError } from '../../wire/wire.ts'
import { ByteQueue } from './byte-queue.ts'
import { ReceiveWindow } from './receive-window.ts'

/** Reading pauses above this and resumes below half of it; the stream's window comes on top. */
const highWaterBytes = 512 * 1024

/** Of each byte, on its way here: what the socket gave, what was decrypted from it, and frames that were put together from that. */
const copies = 4

export interface WaitOptions {
  signal?: AbortSignal | undefined
}

export class StreamReader {
  readonly #stream: Stream
  readonly #window: ReceiveWindow
  readonly #queue = new ByteQueue()
  /** How much a waiting consumer needs at once, which may be above the high-water mark. */
  #wanted = 0
  #ended = false
  #failure: Error | undefined
  #wake: (() => void) | undefined
  #pausing = false

  constructor(stream: Stream) {
    this.#stream = stream
    this.#window = new ReceiveWindow(stream)
  }

  /** Begins to listen; call it in the same turn in which the stream was received. */
  attach(): this {
    const stream = this.#stream
    stream.addEventListener('message', this.#onMessage)
    stream.addEventListener('remoteCloseWrite', this.#onEnd)
    stream.addEventListener('close', this.#onClose)
    if (stream.status !== 'open')
      this.#fail(new ChannelBrokenError(`the stream was already ${stream.status}`))
    else if (stream.remoteWriteStatus === 'closed') this.#ended = true
    return this
  }

  /** Resolves to false when the peer ended in an orderly way before `count` bytes came; nothing is taken. */
  async ready(count: number, options: WaitOptions = {}): Promise<boolean> {
    this.#wanted = count
    try {
      while (this.buffered < count) {
        options.signal?.throwIfAborted()
        if (this.#stream.readStatus === 'paused') this.#resume()
        if (this.buffered >= count) break
        if (this.#failure !== undefined) throw this.#failure
        if (this.#ended && this.#stream.readBufferLength === 0) return false
        await this.#change(options)
      }
      return true
    } finally {
      this.#wanted = 0
    }
  }

  /** How many bytes wait to be taken. */
  get buffered(): number {
    return this.#queue.length
  }

  /** Copies the next `count` bytes, which must be ready, without taking them. */
  peek(count: number): Uint8Array {
    return this.#queue.peek(count)
  }

  /** Takes the next `count` bytes, which must be ready. */
  take(count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    let offset = 0
    while (offset < count) {
      const chunk = this.takeChunk(count - offset)
      bytes.set(chunk, offset)
      offset += chunk.length
    }
    return bytes
  }

  /** Takes what lies next, at least 1 and at most `max` bytes, without a copy. At least one byte must be ready. */
  takeChunk(max: number): Uint8Array {
    const taken = this.#queue.takeChunk(max)
    noteSpent(copies * taken.length)
    if (this.buffered < highWaterBytes / 2 && this.#stream.readStatus === 'paused') this.#resume()
    return taken
  }

  readonly #onMessage = (event: StreamMessageEvent): void => {
    this.#window.use(event.data.byteLength)
    const chunks = event.data instanceof Uint8Array ? [event.data] : event.data
    for (const chunk of chunks) this.#queue.push(chunk)
    if (this.buffered > Math.max(highWaterBytes, this.#wanted)) this.#pauseSoon()
    this.#notify()
  }

  /** A pause inside a message event that a resume caused is lost, and the window grows until the stream is reset. */
  #pauseSoon(): void {
    if (this.#pausing) return
    this.#pausing = true
    queueMicrotask(() => {
      this.#pausing = false
      const full = this.buffered > Math.max(highWaterBytes, this.#wanted)
      if (full && this.#stream.status === 'open' && this.#stream.readStatus === 'readable')
        this.#stream.pause()
    })
  }

  #resume(): void {
    try {
      this.#stream.resume()
      this.#window.hold()
    } catch (error) {
      // What had arrived is delivered before the window update fails on a connection that is gone.
      if (this.#stream.status === 'open') throw error
    }
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    this.#notify()
  }

  readonly #onClose = (event: StreamCloseEvent): void => {
    if (event.error !== undefined) {
      this.#queue.clear()
      this.#fail(
        new ChannelBrokenError(`the stream was cut off: ${event.error.message}`, { cause: event.error }),
      )
    } else if (!this.#ended) {
      // Without the peer's end-of-stream this is a killed process or a cut cable, though libp2p calls it a close.
      this.#fail(new ChannelBrokenError('the connection went away in mid-stream'))
    }
    this.#notify()
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#notify()
  }

  #notify(): void {
    this.#wake?.()
  }

  async #change({ signal }: WaitOptions): Promise<void> {
    await waitFor(
      (wake) => {
        this.#wake = wake
        return () => {
          this.#wake = undefined
        }
      },
      { signal },
    )
  }
}

/** Resolves when `subscribe`'s callback is called; it returns what ends the subscription. */
export async function waitFor(
  subscribe: (wake: () => void) => () => void,
  { signal }: WaitOptions,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const unsubscribe = subscribe(resolve)
  const onAbort = (): void => reject(signal?.reason)
  signal?.addEventListener('abort', onAbort)
  try {
    await promise
  } finally {
    signal?.removeEventListener('abort', onAbort)
    unsubscribe()
  }
}
