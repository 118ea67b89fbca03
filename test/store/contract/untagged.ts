/** What a store promises of live manifests that no tag names. */
import { describe, expect, it } from 'vitest'
import type { Digest } from '../../../src/oci/oci.ts'
import type { CollectReport, Untagged } from '../../../src/store/store.ts'
import { graceMs, push, pushManifest, seededBytes, team } from '../scenery.ts'
import type { Subject } from './contract.ts'

const keepMs = 10 * graceMs

export function itCollectsUntagged(at: Subject): void {
  /** All live, and without a name unless they are among `named`. */
  const collect = (
    options: { named?: Digest[]; statedMs?: number; subjects?: Record<string, Digest>; keepMs?: number } = {},
  ): Promise<CollectReport> => {
    const { named = [], statedMs = 1, subjects = {} } = options
    const find = async (_: unknown, digest: Digest): Promise<Untagged | undefined> => {
      if (named.includes(digest)) return undefined
      const subject = subjects[digest]
      return { statedMs, ...(subject === undefined ? {} : { subject }) }
    }
    return at.store.collect({
      graceMs,
      isLive: async (_, digest) => (await at.store.manifests.get(digest)) !== undefined,
      untagging: { keepMs: options.keepMs ?? keepMs, find },
    })
  }
  const nothing = { blobs: 0, manifests: 0, links: 0, bytes: 0 }

  describe('a live manifest without a name', () => {
    it('goes with its blobs when it was seen so for its time, and not before', async () => {
      const blob = await push(at.store, seededBytes(10))
      const manifest = await pushManifest(at.store, 'm', [blob])
      at.clock.advance(20 * keepMs)
      expect(await collect({ named: [manifest] })).toEqual(nothing)
      expect(await collect()).toEqual(nothing)
      at.clock.advance(keepMs - 1)
      expect(await collect()).toEqual(nothing)
      at.clock.advance(1)
      expect(await collect()).toMatchObject({ blobs: 1, manifests: 1, links: 2 })
    })

    it('has its time anew after it had a name, was stated again, or was asked for', async () => {
      const manifest = await pushManifest(at.store, 'm', [])
      at.clock.advance(graceMs)
      const begin: (() => Promise<unknown>)[] = [
        () => collect({ named: [manifest] }),
        () => collect({ statedMs: 2 }),
        () => at.store.links.has(team, manifest),
      ]
      await collect()
      for (const [index, again] of begin.entries()) {
        const statedMs = index === 0 ? 1 : 2
        at.clock.advance(keepMs - 1)
        await again()
        await collect({ statedMs })
        at.clock.advance(keepMs - 1)
        expect(await collect({ statedMs })).toEqual(nothing)
        // From here the next one is told from this one.
        await at.store.links.has(team, manifest)
      }
      at.clock.advance(keepMs)
      expect(await collect({ statedMs: 2 })).toMatchObject({ manifests: 1 })
    })

    it('goes with what listed it, unless it was asked for lately or has a name', async () => {
      const children = await Promise.all(
        ['alone', 'asked', 'named'].map((name) => pushManifest(at.store, name, [])),
      )
      const [alone, asked, named] = children as [Digest, Digest, Digest]
      const index = await pushManifest(at.store, 'index', children)
      at.clock.advance(graceMs)
      expect(await collect({ named: [index, named] })).toEqual(nothing)
      expect(await collect({ named: [named] })).toEqual(nothing)
      at.clock.advance(keepMs)
      await at.store.links.has(team, asked)
      expect(await collect({ named: [named] })).toMatchObject({ manifests: 2 })
      const here = await Promise.all([index, ...children].map((digest) => at.store.manifests.get(digest)))
      expect(here.map((bytes) => bytes !== undefined)).toEqual([false, false, true, true])
      expect(alone).not.toBe(asked)
    })

    it('stays while what it refers to does, and goes with that', async () => {
      const subject = await pushManifest(at.store, 'subject', [])
      const signature = await pushManifest(at.store, 'signature', [])
      const countersignature = await pushManifest(at.store, 'countersignature', [])
      const subjects = { [signature]: subject, [countersignature]: signature }
      at.clock.advance(graceMs)
      for (let round = 0; round < 2; round++) {
        expect(await collect({ named: [subject], subjects })).toEqual(nothing)
        at.clock.advance(keepMs)
      }
      expect(await collect({ subjects, keepMs: 0 })).toMatchObject({ manifests: 3 })
    })
  })
}
