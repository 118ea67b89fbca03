/** Writes to a libp2p stream that wait until the peer, the connection and the socket have room. */
import type { Stream } from '@libp2p/interface'
import { ChannelBrokenError } from '../../wire/wire.ts'
import { type WaitOptions, waitFor } from './stream-reader.ts'

/** Four Noise messages of 65,516 bytes, so that no frame of the encrypted connection is cut. */
const writeBytes = 262_064

export class StreamWriter {
  readonly #stream: Stream

  constructor(stream: Stream) {
    this.#stream = stream
  }

  /** Keeps a reference to `bytes` beyond its promise. Resolves when there is room for the next write. */
  async write(bytes: Uint8Array, options: WaitOptions = {}): Promise<void> {
    for (let offset = 0; offset < bytes.length; offset += writeBytes) {
      await this.room(options)
      this.#stream.send(bytes.subarray(offset, offset + writeBytes))
    }
    await this.room(options)
  }

  /** Resolves when the stream can take more. Throws ChannelBrokenError when it never will. */
  async room(options: WaitOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
    this.#check()
    // stream.onDrain() returns at once from its second use on, so the events are awaited here.
    while (this.#stream.writableNeedsDrain) {
      await this.#event(options)
      this.#check()
    }
  }

  #check(): void {
    const { status, writeStatus } = this.#stream
    if (status !== 'open' || writeStatus !== 'writable') {
      throw new ChannelBrokenError(
        `the stream is ${status === 'open' ? `${writeStatus} for writing` : status}`,
      )
    }
  }

  async #event(options: WaitOptions): Promise<void> {
    const stream = this.#stream
    await waitFor((wake) => {
      stream.addEventListener('drain', wake)
      stream.addEventListener('close', wake)
      return () => {
        stream.removeEventListener('drain', wake)
        stream.removeEventListener('close', wake)
      }
    }, options)
  }
}
