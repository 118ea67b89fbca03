/** What this node stores, and what of it may go: walked at most once at a time, and not again for a while. */
import type { Clock } from '../../../src/base/base.ts'
import type { StorageAnswer } from '../answers.ts'
import type { PageNode } from '../page.ts'

/** A dry run walks over everything: it may take a twentieth of the time while somebody keeps looking. */
const walkShare = 0.05
const minAgeMs = 2_000

type Freeable = Pick<StorageAnswer, 'now' | 'later' | 'measuredMs'>

export class StorageReports {
  readonly #node: PageNode
  readonly #clock: Clock
  #walk: Promise<Freeable> | undefined
  #staleMs = 0

  constructor(node: PageNode, clock: Clock) {
    this.#node = node
    this.#clock = clock
  }

  async report({ signal }: { signal: AbortSignal }): Promise<StorageAnswer> {
    const { collects } = this.#node
    const [{ disk }, freeable] = await Promise.all([
      this.#node.operate('status', {}, { signal }),
      this.#freeable(),
    ])
    const { blobs, blobBytes, partials, partialBytes, quarantined, totalBytes, freeBytes, minFreeBytes } =
      disk
    return {
      blobs,
      blobBytes,
      partials,
      partialBytes,
      quarantined,
      totalBytes,
      freeBytes,
      minFreeBytes,
      ...freeable,
      graceMs: collects.graceMs,
      collectEveryMs: collects.everyMs,
    }
  }

  /** What was measured is not what is any more. */
  forget(): void {
    this.#staleMs = 0
  }

  #freeable(): Promise<Freeable> {
    if (this.#walk !== undefined && this.#clock.now() < this.#staleMs) return this.#walk
    this.#staleMs = Number.POSITIVE_INFINITY
    this.#walk = this.#measure()
    return this.#walk
  }

  /** Not cut off by whoever asked first: others may wait for it. */
  async #measure(): Promise<Freeable> {
    const { signal } = new AbortController()
    const begunMs = this.#clock.now()
    try {
      const now = await this.#node.operate('gc', { dryRun: true }, { signal })
      const later = await this.#node.operate('gc', { dryRun: true, graceMs: 0 }, { signal })
      return { now, later, measuredMs: begunMs }
    } finally {
      const endMs = this.#clock.now()
      this.#staleMs = endMs + Math.max(minAgeMs, (endMs - begunMs) / walkShare)
    }
  }
}
