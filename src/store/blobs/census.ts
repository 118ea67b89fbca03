/** How many blobs there are and how large: counted when somebody asks, so often that it costs a hundredth of the time. */
import { type Clock, type Logger, logFailure } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import type { OwnedWork } from '../links/owned-work.ts'

export interface Totals {
  blobs: number
  bytes: number
}

export interface CensusOptions {
  list(signal: AbortSignal): AsyncIterable<{ digest: Digest; size: number }>
  /** What runs in it ends with the store. */
  work: OwnedWork
  clock: Clock
  logger: Logger
}

const leastPauseMs = 60_000
const pauseFactor = 100

export class Census {
  readonly #options: CensusOptions
  #totals: Totals | undefined
  #isCounting = false
  #nextMs = 0

  constructor(options: CensusOptions) {
    this.#options = options
  }

  /** As they were counted last; `undefined` until they are. */
  totals(): Totals | undefined {
    const { clock, work, logger } = this.#options
    if (!this.#isCounting && clock.now() >= this.#nextMs) {
      this.#isCounting = true
      work
        .run(undefined, (signal) => this.#count(signal))
        .catch((error: unknown) => logFailure(logger, error, 'the blobs could not be counted'))
    }
    return this.#totals
  }

  async #count(signal: AbortSignal): Promise<void> {
    const { list, clock } = this.#options
    const startMs = clock.now()
    const totals = { blobs: 0, bytes: 0 }
    try {
      for await (const { size } of list(signal)) {
        totals.blobs++
        totals.bytes += size
      }
      this.#totals = totals
    } finally {
      const tookMs = clock.now() - startMs
      this.#nextMs = clock.now() + Math.max(leastPauseMs, pauseFactor * tookMs)
      this.#isCounting = false
    }
  }
}
