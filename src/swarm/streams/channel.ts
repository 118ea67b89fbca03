/** Length-prefixed frames over one libp2p stream, with backpressure both ways. */
import type { Stream } from '@libp2p/interface'
import { Semaphore } from '../../base/base.ts'
import { type BatchChannel, ChannelBrokenError, TooLargeError } from '../../wire/wire.ts'
import { StreamReader } from './stream-reader.ts'
import { StreamWriter } from './stream-writer.ts'

const prefixBytes = 4
const lingerMs = 15_000

/**
 * Attaches to a stream, in the same turn in which it was received. A frame's memory may be used again once `send` was called; a
 * `receive` that was aborted took nothing; 15 s after `close` a peer that has not ended its side is reset.
 */
export function channelOver(stream: Stream, { maxFrameBytes }: { maxFrameBytes: number }): BatchChannel {
  return new StreamChannel(stream, new StreamReader(stream).attach(), maxFrameBytes)
}

class StreamChannel implements BatchChannel {
  readonly #stream: Stream
  readonly #reader: StreamReader
  readonly #writer: StreamWriter
  readonly #maxFrameBytes: number
  readonly #sending = new Semaphore(1)

  constructor(stream: Stream, reader: StreamReader, maxFrameBytes: number) {
    this.#stream = stream
    this.#reader = reader
    this.#writer = new StreamWriter(stream)
    this.#maxFrameBytes = maxFrameBytes
  }

  async send(frame: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<void> {
    await this.sendAll([frame], options)
  }

  async sendAll(frames: readonly Uint8Array[], { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const bytes = new Uint8Array(frames.reduce((sum, { length }) => sum + prefixBytes + length, 0))
    const view = new DataView(bytes.buffer)
    let at = 0
    for (const frame of frames) {
      if (frame.length > this.#maxFrameBytes) throw new TooLargeError(frame.length, this.#maxFrameBytes)
      view.setUint32(at, frame.length)
      bytes.set(frame, at + prefixBytes)
      at += prefixBytes + frame.length
    }
    await this.#sending.run(async () => {
      await this.#writer.room({ signal })
      await this.#whole(() => this.#writer.write(bytes, { signal }))
    })
  }

  async receive({ signal }: { signal?: AbortSignal } = {}): Promise<Uint8Array | undefined> {
    if (!(await this.#reader.ready(prefixBytes, { signal }))) {
      if (this.#reader.buffered === 0) return undefined
      throw new ChannelBrokenError('the peer ended inside a frame')
    }
    const prefix = this.#reader.peek(prefixBytes)
    const length = new DataView(prefix.buffer).getUint32(0)
    if (length > this.#maxFrameBytes) {
      const error = new TooLargeError(length, this.#maxFrameBytes)
      this.abort(error)
      throw error
    }
    if (!(await this.#reader.ready(prefixBytes + length, { signal }))) {
      throw new ChannelBrokenError('the peer ended inside a frame')
    }
    this.#reader.take(prefixBytes)
    return this.#reader.take(length)
  }

  async receiveAll(options: { signal?: AbortSignal } = {}): Promise<Uint8Array[] | undefined> {
    const first = await this.receive(options)
    if (first === undefined) return undefined
    const frames = [first]
    for (let length = this.#nextLength(); length !== undefined; length = this.#nextLength()) {
      this.#reader.take(prefixBytes)
      frames.push(this.#reader.take(length))
    }
    return frames
  }

  /** Of a frame that is here whole; one that is too long is left for `receive` to refuse. */
  #nextLength(): number | undefined {
    if (this.#reader.buffered < prefixBytes) return undefined
    const length = new DataView(this.#reader.peek(prefixBytes).buffer).getUint32(0)
    const isHere = length <= this.#maxFrameBytes && this.#reader.buffered >= prefixBytes + length
    return isHere ? length : undefined
  }

  async close(): Promise<void> {
    const stream = this.#stream
    if (stream.status !== 'open') return
    const linger = setTimeout(
      () => this.abort(new ChannelBrokenError('the peer did not end its side')),
      lingerMs,
    )
    linger.unref()
    stream.addEventListener('close', () => clearTimeout(linger), { once: true })
    await this.#sending.run(async () => {
      try {
        await stream.close({ signal: AbortSignal.timeout(lingerMs) })
      } catch (cause) {
        if (stream.status === 'open')
          throw new ChannelBrokenError('the channel could not be closed', { cause })
      }
    })
  }

  abort(reason: Error): void {
    this.#stream.abort(reason)
  }

  /** Part of a frame on the wire makes everything after it unreadable, so a send that stops in the middle resets the stream. */
  async #whole(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.abort(
        error instanceof Error ? error : new ChannelBrokenError('a send was aborted', { cause: error }),
      )
      throw error
    }
  }
}
