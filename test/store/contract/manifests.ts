/** What a store promises of manifests, and of the links that say which repository may read what. */
import { describe, expect, it } from 'vitest'
import {
  digestOf,
  expectBytes,
  graceMs,
  listAll,
  other,
  push,
  pushManifest,
  seededBytes,
  team,
} from '../scenery.ts'
import type { Subject } from './contract.ts'

export function itHoldsManifests(at: Subject): void {
  describe('manifests', () => {
    it('keeps the bytes verbatim', async () => {
      const bytes = seededBytes(5000)
      const digest = digestOf(bytes)
      await at.store.manifests.put({ repository: team, digest, bytes, references: [], required: [] })
      expectBytes(await at.store.manifests.get(digest), bytes)
      expect(await at.store.links.has(team, digest)).toBe(true)
      expect(await listAll(at.store.manifests.list())).toEqual([digest])
    })

    it('refuses bytes of another digest', async () => {
      const write = { repository: team, bytes: seededBytes(10), references: [], required: [] }
      const digest = digestOf(seededBytes(11))
      await expect(at.store.manifests.put({ ...write, digest })).rejects.toMatchObject({
        code: 'DIGEST_INVALID',
      })
      expect(await at.store.manifests.get(digest)).toBeUndefined()
    })

    it('names what its repository does not hold', async () => {
      const here = await push(at.store, seededBytes(10))
      const elsewhere = await push(at.store, seededBytes(11), other)
      const nowhere = digestOf(seededBytes(12))
      await at.store.links.add(team, [nowhere])
      const refused = pushManifest(at.store, 'm', [here, elsewhere, nowhere, elsewhere])
      await expect(refused).rejects.toMatchObject({ code: 'BLOB_MISSING', digests: [elsewhere, nowhere] })
      expect(await listAll(at.store.manifests.list())).toEqual([])
    })

    it('counts a manifest of the repository as held', async () => {
      const child = await pushManifest(at.store, 'child', [])
      await pushManifest(at.store, 'index', [child])
      await expect(pushManifest(at.store, 'index', [child], other)).rejects.toMatchObject({
        digests: [child],
      })
    })

    it('tells which manifests of a repository refer to a digest', async () => {
      const blob = await push(at.store, seededBytes(10))
      await push(at.store, seededBytes(10), other)
      const [one, two] = [
        await pushManifest(at.store, 'one', [blob]),
        await pushManifest(at.store, 'two', [blob]),
      ]
      await pushManifest(at.store, 'three', [])
      await pushManifest(at.store, 'elsewhere', [blob], other)
      expect((await listAll(at.store.manifests.referringTo(team, blob))).sort()).toEqual([one, two].sort())
      expect((await listAll(at.store.links.repositoriesOf(blob))).sort()).toEqual([other, team].sort())
      await at.store.manifests.remove(team, one, async () => false)
      expect(await listAll(at.store.manifests.referringTo(team, blob))).toEqual([two])
    })

    it('removes a link once and leaves the bytes to the collector', async () => {
      const digest = await pushManifest(at.store, 'm', [])
      expect(await at.store.manifests.remove(team, digest, async () => false)).toBe(true)
      expect(await at.store.manifests.remove(team, digest, async () => false)).toBe(false)
      expect(await at.store.links.has(team, digest)).toBe(false)
      expect(await at.store.manifests.get(digest)).toBeDefined()
      expect(await at.collect()).toMatchObject({ manifests: 1 })
      expect(await at.store.manifests.get(digest)).toBeUndefined()
    })

    it('lists in order', async () => {
      const digests = await Promise.all(['a', 'b', 'c', 'd'].map((name) => pushManifest(at.store, name, [])))
      expect(await listAll(at.store.manifests.list())).toEqual(digests.sort())
    })
  })

  describe('links', () => {
    it('finds a repository that holds a digest', async () => {
      const digest = await push(at.store, seededBytes(10), other)
      expect(await at.store.links.anyRepository(digest)).toBe(other)
      expect(await at.store.links.anyRepository(digestOf(seededBytes(11)))).toBeUndefined()
      expect(await at.store.links.remove(other, digest)).toBe(true)
      expect(await at.store.links.remove(other, digest)).toBe(false)
      expect(await at.store.links.anyRepository(digest)).toBeUndefined()
    })

    it('leaves a manifest, whose link is not a blob’s', async () => {
      const blob = await push(at.store, seededBytes(10))
      const manifest = await pushManifest(at.store, 'm', [blob])
      expect(await at.store.links.remove(team, manifest)).toBe(false)
      at.clock.advance(graceMs)
      expect(await at.collect({ live: [manifest] })).toMatchObject({ blobs: 0, manifests: 0, links: 0 })
    })

    it('keeps repositories whose names continue each other apart', async () => {
      const digest = await push(at.store, seededBytes(10), team)
      const longer = `${team}/more` as typeof team
      expect(await at.store.links.has(longer, digest)).toBe(false)
      await at.store.links.add(longer, [digest])
      await at.store.links.remove(team, digest)
      expect(await at.store.links.has(longer, digest)).toBe(true)
    })
  })
}
