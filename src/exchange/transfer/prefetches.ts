/** Blobs that will probably be asked for: fetched a few at a time, in the order in which they were named. */
import { type Background, type Logger, Semaphore } from '../../base/base.ts'
import type { Wanted } from '../protocol/wanted.ts'

export interface PrefetchesOptions {
  limit: number
  background: Background
  logger: Logger
  fetch(wanted: Wanted, signal: AbortSignal): Promise<boolean>
}

const maxWaiting = 256

export class Prefetches {
  readonly #options: PrefetchesOptions
  readonly #waiting = new Set<string>()
  readonly #turns: Semaphore

  constructor(options: PrefetchesOptions) {
    this.#options = options
    this.#turns = new Semaphore(options.limit)
  }

  add(wanted: Wanted): void {
    const { background, fetch, logger } = this.#options
    const key = `${wanted.repository}@${wanted.digest}`
    if (this.#waiting.size >= maxWaiting || this.#waiting.has(key)) return
    this.#waiting.add(key)
    background.start('prefetch', async (signal) => {
      try {
        using _turn = await this.#turns.acquire({ signal })
        this.#waiting.delete(key)
        await fetch(wanted, signal)
      } catch (error) {
        // Whoever asks for it in earnest hears of the failure.
        if (!signal.aborted) logger.debug({ err: error, digest: wanted.digest }, 'a prefetch failed')
      }
    })
  }
}
