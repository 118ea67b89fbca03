/** Piece lists made before anyone asks for them: one blob at a time, a while after it came, and only where someone could ask. */
import type { Background, Clock, Logger } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import type { Blobs } from '../../store/store.ts'
import type { ExchangeMembers } from '../contract.ts'
import type { PieceLists } from './piece-lists.ts'

export interface PreparationsOptions {
  blobs: Pick<Blobs, 'stat'>
  lists: PieceLists
  members: Pick<ExchangeMembers, 'peers'>
  background: Background
  clock: Clock
  logger: Logger
}

/** A push that is still going on needs the processor more. */
const afterMs = 1000
const maxWaiting = 1024

export class Preparations {
  readonly #options: PreparationsOptions
  readonly #waiting = new Set<Digest>()
  #isRunning = false

  constructor(options: PreparationsOptions) {
    this.#options = options
  }

  /** What is too much is made when it is asked for. */
  add(digest: Digest): void {
    if (this.#waiting.size >= maxWaiting || this.#options.members.peers().length === 0) return
    this.#waiting.add(digest)
    if (this.#isRunning) return
    this.#isRunning = true
    this.#options.background.start('prepare', async (signal) => {
      try {
        await this.#run(signal)
      } finally {
        this.#isRunning = false
      }
    })
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { blobs, lists, clock, logger } = this.#options
    await clock.sleep(afterMs, { signal })
    for (const digest of this.#waiting) {
      signal.throwIfAborted()
      this.#waiting.delete(digest)
      try {
        const found = await blobs.stat(digest)
        if (found !== undefined) await lists.get(digest, found.size)
      } catch (error) {
        // Most likely it was removed just now; whoever asks for it hears of anything else.
        logger.debug({ err: error, digest }, 'a piece list could not be prepared')
      }
    }
  }
}
