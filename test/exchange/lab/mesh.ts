/** Hosts joined in memory: every channel of a host can be counted, cut, or made to hang. */
import type { ExchangeHost } from '../../../src/exchange/contract.ts'
import {
  type BatchChannel,
  ChannelBrokenError,
  type ChannelPair,
  channelPair,
} from '../../../src/wire/wire.ts'

type Handler = (channel: BatchChannel, peer: string, options: { signal: AbortSignal }) => Promise<void>

interface Link {
  /** Who opened it, and who serves it. */
  downloader: string
  seeder: string
  pair: ChannelPair
}

export class Mesh {
  readonly #handlers = new Map<string, Handler>()
  readonly #links: Link[] = []
  readonly #listeners = new Map<string, Set<(event: { kind: 'join' | 'leave'; peer: string }) => void>>()
  readonly #members: string[] = []
  readonly #down = new Set<string>()
  readonly #serving = new Set<Promise<void>>()
  readonly #stopping = new AbortController()

  host(self: string): ExchangeHost {
    return {
      handle: async (_protocol, _options, handler) => {
        this.#handlers.set(self, handler)
      },
      open: async (peer, _protocol, { maxFrameBytes }) => {
        const handler = this.#handlers.get(peer)
        if (handler === undefined || this.#down.has(peer) || this.#down.has(self)) {
          throw new ChannelBrokenError(`${peer} cannot be reached`)
        }
        const pair = channelPair({ maxFrameBytes })
        this.#links.push({ downloader: self, seeder: peer, pair })
        const serving = this.#serve(handler, copying(pair.b), self)
        this.#serving.add(serving)
        void serving.finally(() => this.#serving.delete(serving))
        return copying(pair.a)
      },
    }
  }

  members(self: string): {
    peers(): string[]
    onChange(listener: (event: { kind: 'join' | 'leave'; peer: string }) => void): () => void
  } {
    const listeners = new Set<(event: { kind: 'join' | 'leave'; peer: string }) => void>()
    this.#listeners.set(self, listeners)
    return {
      peers: () => this.#members.filter((peer) => peer !== self && !this.#down.has(peer)),
      onChange: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    }
  }

  /** Everyone sees a member from now on. */
  join(peer: string): void {
    this.#members.push(peer)
    for (const [self, listeners] of this.#listeners) {
      if (self !== peer) for (const listener of listeners) listener({ kind: 'join', peer })
    }
  }

  /** A test double that serves the protocol. */
  handle(peer: string, handler: Handler): void {
    this.#handlers.set(peer, handler)
  }

  /** Ends every channel of the host and lets nobody reach it: what a SIGKILL looks like. */
  kill(peer: string): void {
    this.#down.add(peer)
    for (const { downloader, seeder, pair } of this.#links) {
      if (downloader !== peer && seeder !== peer) continue
      pair.a.abort(new ChannelBrokenError('killed'))
      pair.b.abort(new ChannelBrokenError('killed'))
    }
  }

  /** Bytes that a host sent to all its neighbours. */
  sentBy(peer: string): number {
    return this.#links.reduce((sum, { downloader, seeder, pair: { sent } }) => {
      return sum + (seeder === peer ? sent.b : 0) + (downloader === peer ? sent.a : 0)
    }, 0)
  }

  async close(): Promise<void> {
    this.#stopping.abort(new Error('the mesh is closing'))
    await Promise.all(this.#serving)
  }

  async #serve(handler: Handler, channel: BatchChannel, peer: string): Promise<void> {
    try {
      await handler(channel, peer, { signal: this.#stopping.signal })
      await channel.close()
    } catch (error) {
      channel.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

/** As real channels do: what was sent is the sender's again. */
function copying(channel: BatchChannel): BatchChannel {
  return {
    send: async (frame, options) => await channel.send(frame.slice(), options),
    sendAll: async (frames, options) =>
      await channel.sendAll(
        frames.map((frame) => frame.slice()),
        options,
      ),
    receiveAll: async (options) => await channel.receiveAll(options),
    receive: async (options) => await channel.receive(options),
    close: async () => await channel.close(),
    abort: (reason) => channel.abort(reason),
  }
}
