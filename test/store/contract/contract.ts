/** What every store promises; run against each of them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Digest, parseDigest } from '../../../src/oci/oci.ts'
import type { CollectReport, Store } from '../../../src/store/store.ts'
import {
  digestOf,
  graceMs,
  type HandClock,
  handClock,
  inChunks,
  limits,
  push,
  pushManifest,
  seededBytes,
} from '../scenery.ts'
import { itHoldsBlobs } from './blobs.ts'
import { itCollects } from './collector.ts'
import { itHoldsManifests } from './manifests.ts'
import { itCollectsUntagged } from './untagged.ts'
import { itTakesUploads } from './uploads.ts'

export interface ContractSetup {
  clock: HandClock
  maxBlobBytes: number
  maxSessions: number
}

/** The store of the test that runs, opened for it. */
export interface Subject {
  readonly store: Store
  readonly clock: HandClock
  /** Without `live`, no manifest is. */
  collect(options?: { live?: Digest[]; dryRun?: boolean }): Promise<CollectReport>
}

export function itIsAStore(
  name: string,
  open: (setup: ContractSetup) => Promise<AsyncDisposable & { store: Store }>,
): void {
  describe(name, () => {
    let opened: AsyncDisposable & { store: Store }
    let clock: HandClock

    beforeEach(async () => {
      clock = handClock()
      opened = await open({ clock, ...limits })
    })
    afterEach(async () => {
      await opened[Symbol.asyncDispose]()
    })

    const at: Subject = {
      get store() {
        return opened.store
      },
      get clock() {
        return clock
      },
      collect: ({ live = [], dryRun = false } = {}) =>
        opened.store.collect({ graceMs, dryRun, isLive: async (_, digest) => live.includes(digest) }),
    }
    itHoldsBlobs(at)
    itTakesUploads(at)
    itHoldsManifests(at)
    itCollects(at)
    itCollectsUntagged(at)

    it('verifies what it holds', async () => {
      await push(at.store, seededBytes(1000))
      await at.store.blobs.write(digestOf(seededBytes(10), 'sha512'), inChunks(seededBytes(10)))
      const digest = await pushManifest(at.store, 'm', [])
      const size = (await at.store.manifests.get(digest))?.length ?? 0
      const progress: number[] = []
      const report = await at.store.verify({ onProgress: ({ blobs }) => progress.push(blobs) })
      expect(report).toEqual({ blobs: 2, manifests: 1, bytes: 1010 + size, corrupt: [], unreadable: [] })
      expect(progress).toEqual([1, 2, 2])
      expect(await at.store.blobs.stat(parseDigest(digest))).toBeUndefined()
    })
  })
}
