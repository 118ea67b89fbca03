/** Messages on their way out of a channel, sent in order by one loop, so that whoever has something to say never waits. */
import { type Channel, ChannelBrokenError } from '../../wire/wire.ts'

/** A peer that lets so many pile up does not read. */
const maxWaiting = 1024

export class Outbox {
  readonly #channel: Pick<Channel, 'send' | 'abort'>
  #waiting: Uint8Array[] = []
  #wake = Promise.withResolvers<void>()
  #closed = false

  constructor(channel: Pick<Channel, 'send' | 'abort'>) {
    this.#channel = channel
  }

  /** Nothing waits to be sent. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** Resets the channel when too many messages wait. */
  push(message: Uint8Array): void {
    if (this.#closed) return
    if (this.#waiting.length >= maxWaiting) {
      this.#channel.abort(new ChannelBrokenError(`the peer left ${maxWaiting} messages unread`))
      return
    }
    this.#waiting.push(message)
    this.#wake.resolve()
  }

  /** Sends until closed and empty. Throws what `send` throws, and the signal's reason. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const onAbort = (): void => this.#wake.resolve()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        signal.throwIfAborted()
        const [message] = this.#waiting
        if (message !== undefined) {
          this.#waiting.shift()
          await this.#channel.send(message, { signal })
        } else if (this.#closed) return
        else {
          await this.#wake.promise
          this.#wake = Promise.withResolvers()
        }
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** What was pushed before is still sent. */
  close(): void {
    this.#closed = true
    this.#wake.resolve()
  }
}
