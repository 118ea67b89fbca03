/** What a store promises of collecting: that it takes what nobody needs, and nothing else. */
import { describe, expect, it } from 'vitest'
import {
  digestOf,
  expectBytes,
  graceMs,
  inChunks,
  other,
  push,
  pushManifest,
  readAll,
  seededBytes,
  team,
} from '../scenery.ts'
import type { Subject } from './contract.ts'

export function itCollects(at: Subject): void {
  describe('the collector', () => {
    it('leaves everything young', async () => {
      const blob = await push(at.store, seededBytes(10))
      await pushManifest(at.store, 'm', [blob])
      const unlinked = digestOf(seededBytes(20))
      await at.store.blobs.write(unlinked, inChunks(seededBytes(20)))
      at.clock.advance(graceMs - 1)
      expect(await at.collect()).toEqual({ blobs: 0, manifests: 0, links: 0, bytes: 0 })
    })

    it('takes what nobody needs once its lease has run out', async () => {
      const blob = await push(at.store, seededBytes(10))
      const unlinked = digestOf(seededBytes(20))
      await at.store.blobs.write(unlinked, inChunks(seededBytes(20)))
      at.clock.advance(graceMs)
      expect(await at.collect()).toEqual({ blobs: 2, manifests: 0, links: 1, bytes: 30 })
      expect(await at.store.blobs.stat(blob)).toBeUndefined()
      expect(await at.store.links.has(team, blob)).toBe(false)
    })

    it('keeps what a live manifest refers to, in its repository only', async () => {
      const blob = await push(at.store, seededBytes(10))
      await at.store.links.add(other, [blob])
      const manifest = await pushManifest(at.store, 'm', [blob])
      at.clock.advance(graceMs)
      expect(await at.collect({ live: [manifest] })).toMatchObject({ blobs: 0, manifests: 0, links: 1 })
      expect(await at.store.links.has(team, blob)).toBe(true)
      expect(await at.store.links.has(other, blob)).toBe(false)
    })

    it('takes a dead index with all that hangs on it in one go', async () => {
      const blobs = await Promise.all([10, 20, 30].map((length) => push(at.store, seededBytes(length))))
      const children = await Promise.all(
        blobs.map((blob, index) => pushManifest(at.store, `child ${index}`, [blob])),
      )
      const index = await pushManifest(at.store, 'index', children)
      at.clock.advance(graceMs)
      expect(await at.collect({ live: [index] })).toMatchObject({ links: 0 })
      const planned = await at.collect({ dryRun: true })
      expect(await at.store.manifests.get(index)).toBeDefined()
      expect(await at.collect()).toEqual(planned)
      expect(planned).toMatchObject({ blobs: 3, manifests: 4, links: 7 })
      expect(await at.collect()).toEqual({ blobs: 0, manifests: 0, links: 0, bytes: 0 })
    })

    it('is held by whoever asked for a link within the grace time', async () => {
      const blob = await push(at.store, seededBytes(10))
      for (let times = 0; times < 5; times++) {
        at.clock.advance(graceMs - 1)
        expect(await at.store.links.has(team, blob)).toBe(true)
        expect(await at.collect()).toMatchObject({ blobs: 0, links: 0 })
      }
      at.clock.advance(graceMs - 1)
      expect(await at.store.links.anyRepository(blob)).toBe(team)
      at.clock.advance(1)
      expect(await at.collect()).toMatchObject({ blobs: 0, links: 0 })
      at.clock.advance(graceMs)
      expect(await at.collect()).toMatchObject({ blobs: 1, links: 1 })
    })

    it('takes a blob whose manifest was removed', async () => {
      const blob = await push(at.store, seededBytes(10))
      const manifest = await pushManifest(at.store, 'm', [blob])
      at.clock.advance(graceMs)
      await at.store.manifests.remove(team, manifest, async () => false)
      expect(await at.collect()).toMatchObject({ blobs: 1, manifests: 1, links: 1 })
    })

    it('keeps a blob without a link as long as a manifest refers to it', async () => {
      const blob = await push(at.store, seededBytes(10))
      const manifest = await pushManifest(at.store, 'm', [blob])
      await at.store.links.remove(team, blob)
      at.clock.advance(graceMs)
      expect(await at.collect({ live: [manifest] })).toMatchObject({ blobs: 0 })
      expect(await at.store.blobs.stat(blob)).toEqual({ size: 10 })
    })

    it('lets an open blob be read to its end', async () => {
      const bytes = seededBytes(1_500_000)
      const digest = await push(at.store, bytes)
      const blob = await at.store.blobs.open(digest)
      if (blob === undefined) throw new Error('not found')
      await using open = blob
      at.clock.advance(graceMs)
      await at.collect()
      expect(await at.store.blobs.stat(digest)).toBeUndefined()
      expectBytes(await readAll(open), bytes)
    })

    it('stops when its signal aborts', async () => {
      await push(at.store, seededBytes(10))
      at.clock.advance(graceMs)
      const stopped = at.store.collect({
        graceMs,
        isLive: async () => false,
        signal: AbortSignal.abort(new Error('enough')),
      })
      await expect(stopped).rejects.toThrow('enough')
    })

    it('collects again what was pushed again', async () => {
      const bytes = seededBytes(10)
      for (let times = 0; times < 3; times++) {
        await push(at.store, bytes)
        at.clock.advance(graceMs)
        expect(await at.collect()).toMatchObject({ blobs: 1, links: 1 })
      }
    })
  })
}
