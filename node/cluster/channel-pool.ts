/** Channels that are used again, one request at a time on each: opening one costs more than a short question on it. */
import type { Channel } from '../../src/wire/wire.ts'

type Options = { signal: AbortSignal }

interface Idle {
  channel: Channel
  expiry: NodeJS.Timeout
}

const idleMs = 60_000
const maxIdle = 256

export class ChannelPool {
  readonly #open: (peer: string, options: Options) => Promise<Channel>
  /** At most one for each peer. */
  readonly #idle = new Map<string, Idle>()

  constructor(open: (peer: string, options: Options) => Promise<Channel>) {
    this.#open = open
  }

  /** Runs `work` on a channel to the peer. It runs again, on a new one, when the channel had broken while it was idle. */
  async use<T>(peer: string, work: (channel: Channel) => Promise<T>, options: Options): Promise<T> {
    const kept = this.#take(peer)
    if (kept !== undefined) {
      try {
        return await this.#run(peer, kept, work)
      } catch (error) {
        if (options.signal.aborted || !isBroken(error)) throw error
      }
    }
    return await this.#run(peer, await this.#open(peer, options), work)
  }

  /** A channel on which work failed may still get the answer to it, so it is not used again. */
  async #run<T>(peer: string, channel: Channel, work: (channel: Channel) => Promise<T>): Promise<T> {
    try {
      const result = await work(channel)
      await this.#keep(peer, channel)
      return result
    } catch (error) {
      channel.abort(error instanceof Error ? error : new Error('the request failed', { cause: error }))
      throw error
    }
  }

  async #keep(peer: string, channel: Channel): Promise<void> {
    if (this.#idle.has(peer) || this.#idle.size >= maxIdle) {
      await channel.close()
      return
    }
    const expiry = setTimeout(() => this.#take(peer)?.abort(new Error('idle for long')), idleMs)
    expiry.unref()
    this.#idle.set(peer, { channel, expiry })
  }

  #take(peer: string): Channel | undefined {
    const idle = this.#idle.get(peer)
    clearTimeout(idle?.expiry)
    this.#idle.delete(peer)
    return idle?.channel
  }
}

function isBroken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'CHANNEL_BROKEN'
}
