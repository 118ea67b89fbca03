/** Length-prefixed frames over one libp2p stream, with backpressure both ways. */
import type { Stream } from '@libp2p/interface'
import { Semaphore } from '../base/base.ts'
import { type Channel, ChannelBrokenError, TooLargeError } from '../wire/wire.ts'
import { StreamReader } from './stream-reader.ts'
import { StreamWriter } from './stream-writer.ts'

const prefixBytes = 4
const lingerMs = 15_000

/**
 * Attaches to a stream, in the same turn in which it was received. A frame's memory may be used again once `send` was called; a
 * `receive` that was aborted took nothing; 15 s after `close` a peer that has not ended its side is reset.
 */
export function channelOver(stream: Stream, { maxFrameBytes }: { maxFrameBytes: number }): Channel {
  return new StreamChannel(stream, new StreamReader(stream).attach(), maxFrameBytes)
}

class StreamChannel implements Channel {
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

  async send(frame: Uint8Array, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    if (frame.length > this.#maxFrameBytes) throw new TooLargeError(frame.length, this.#maxFrameBytes)
    const bytes = new Uint8Array(prefixBytes + frame.length)
    new DataView(bytes.buffer).setUint32(0, frame.length)
    bytes.set(frame, prefixBytes)
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
