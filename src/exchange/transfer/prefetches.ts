/** Blobs that will probably be asked for: fetched a few at a time, in the order in which they were named. */
import type { Background, Logger } from '../../base/base.ts'
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
  readonly #waiting = new Map<string, Wanted>()
  #running = 0

  constructor(options: PrefetchesOptions) {
    this.#options = options
  }

  add(wanted: Wanted): void {
    if (this.#waiting.size >= maxWaiting) return
    this.#waiting.set(`${wanted.repository}@${wanted.digest}`, wanted)
    this.#pump()
  }

  #pump(): void {
    const { limit, background, fetch, logger } = this.#options
    for (const [key, wanted] of this.#waiting) {
      if (this.#running >= limit) return
      this.#waiting.delete(key)
      this.#running++
      background.start('prefetch', async (signal) => {
        try {
          await fetch(wanted, signal)
        } catch (error) {
          // Whoever asks for it in earnest hears of the failure.
          if (!signal.aborted) logger.debug({ err: error, digest: wanted.digest }, 'a prefetch failed')
        } finally {
          this.#running--
          this.#pump()
        }
      })
    }
  }
}
