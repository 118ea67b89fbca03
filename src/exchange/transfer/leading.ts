/** One feed for all who want this node to bring a blob from outside: it ends when the last of them has left. */
import { unlessAborted } from '../../base/base.ts'
import type { LeadOptions } from '../contract.ts'
import { BlobUnavailableError } from '../errors.ts'
import type { Feed, Tail } from './feed.ts'

export class Leading {
  readonly #feed: Feed
  readonly #stop = new AbortController()
  readonly #users = new Set<LeadOptions>()
  readonly #done: Promise<boolean>
  #told = 0

  /** `run` feeds until it is stopped or over. */
  constructor(feed: Feed, run: (signal: AbortSignal) => Promise<boolean>) {
    this.#feed = feed
    this.#done = run(this.#stop.signal)
    // Whoever waits for it hears of a failure.
    this.#done.catch(() => undefined)
  }

  async join(options: LeadOptions): Promise<boolean> {
    this.#users.add(options)
    try {
      return await unlessAborted(this.#done, options.signal)
    } finally {
      this.#users.delete(options)
      if (this.#users.size === 0) {
        this.#stop.abort(new BlobUnavailableError(this.#feed.digest, 'nobody wants it brought any more'))
      }
    }
  }

  tail(position: number, end: number): Tail | undefined {
    return this.#feed.tail(position, end)
  }

  /** Call it now and then. Returns whether more has come since the last time. */
  check(): boolean {
    this.#feed.check()
    const isMore = this.#feed.received > this.#told
    this.#told = this.#feed.received
    if (isMore) for (const { onProgress } of this.#users) onProgress?.()
    return isMore
  }
}
