/** What this node stores, and what of it may go: walked at most once at a time, and not again for a while. */
import type { Clock } from '../../../src/base/base.ts'
import { Measured } from '../../measured.ts'
import { groupPlanned } from '../../operations/planned.ts'
import type { StorageAnswer } from '../answers/storage.ts'
import type { PageNode } from '../page.ts'

type Freeable = Pick<StorageAnswer, 'now' | 'later' | 'plan' | 'measuredMs'>

const maxGroups = 200

export class StorageReports {
  readonly #node: PageNode
  readonly #freeable: Measured<Freeable>

  constructor(node: PageNode, clock: Clock) {
    this.#node = node
    // A dry run walks over everything.
    this.#freeable = new Measured(() => this.#measure(clock), clock)
  }

  async report({ signal }: { signal: AbortSignal }): Promise<StorageAnswer> {
    const { collects } = this.#node
    const [{ disk, short }, freeable] = await Promise.all([
      this.#node.operate('status', {}, { signal }),
      this.#freeable.get(),
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
      short,
      ...freeable,
      graceMs: collects.graceMs,
      ...(Number.isFinite(collects.untaggedMs) ? { keepUntaggedMs: collects.untaggedMs } : {}),
      collectEveryMs: collects.everyMs,
    }
  }

  /** What was measured is not what is any more. */
  forget(): void {
    this.#freeable.forget()
  }

  /** Not cut off by whoever asked first: others may wait for it. */
  async #measure(clock: Clock): Promise<Freeable> {
    const { signal } = new AbortController()
    const measuredMs = clock.now()
    const { garbage: now, limit, blobs } = await this.#node.operate('gc-plan', {}, { signal })
    const later = await this.#node.operate('gc', { dryRun: true, graceMs: 0 }, { signal })
    const plan = {
      ...(limit === undefined ? {} : { limit }),
      groups: groupPlanned(blobs).slice(0, maxGroups),
    }
    return { now, later, plan, measuredMs }
  }
}
