import { setImmediate as turn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { Digest } from '../../src/oci/oci.ts'
import type { Store } from '../../src/store/store.ts'
import { seededNumbers } from './random.ts'
import {
  digestOf,
  graceMs,
  handClock,
  openAt,
  other,
  push,
  pushManifest,
  seededBytes,
  team,
  temporaryFolder,
} from './scenery.ts'

const rounds = 30
const blobs = [1, 2, 3, 4].map((seed) => seededBytes(1000 + seed, seed))

/** Mostly a few turns of the event loop, now and then so many that a whole collection fits in. */
function pausing(random: () => number): () => Promise<void> {
  return async () => {
    for (let turns = Math.floor(random() ** 4 * 600); turns > 0; turns--) await turn()
  }
}

/** What a client does that would rather not upload: ask, else mount, else push; and then refer to it. */
async function pushLikeAClient(store: Store, name: string, pause: () => Promise<void>): Promise<Digest> {
  for (const bytes of blobs) {
    const digest = digestOf(bytes)
    await pause()
    if (await store.links.has(team, digest)) continue
    await pause()
    const source = await store.links.anyRepository(digest)
    if (source === undefined) await push(store, bytes)
    else {
      await pause()
      await store.links.add(team, [digest])
    }
    await pause()
  }
  return await pushManifest(
    store,
    name,
    blobs.map((bytes) => digestOf(bytes)),
  )
}

it('never takes what a client was told is there before the client refers to it', {
  timeout: 120_000,
}, async () => {
  await using folder = await temporaryFolder()
  const clock = handClock()
  await using opened = await openAt(folder.path, { clock, workers: 2 })
  const { store } = opened
  const random = seededNumbers(7)
  const pause = pausing(random)
  let collected = 0
  // How often the collector gets there first is up to the machine: goes on until that was tried often enough.
  for (let round = 0; round < rounds || collected < 10; round++) {
    // Everything of the last round is old and unreferenced; some of it is linked in the other repository as well.
    for (const bytes of blobs) if (random() < 0.3) await push(store, bytes, random() < 0.5 ? team : other)
    clock.advance(graceMs)
    const live = new Set<Digest>()
    let pushing = true
    let looks = 0
    let collections = 0
    const collectors = [0, 1].map(async () => {
      while (pushing) {
        await pause()
        const isLive = async (_: string, digest: Digest): Promise<boolean> => {
          looks++
          await pause()
          return live.has(digest)
        }
        collected += (await store.collect({ graceMs, isLive })).blobs
        collections++
      }
    })
    const clients = [0, 1, 2].map(async (client) => {
      // Anywhere in the first collection, however quick a push is beside it.
      const after = Math.floor(random() * 8)
      while (looks < after && collections === 0) await turn()
      await pause()
      live.add(await pushLikeAClient(store, `${round} ${client}`, pause))
    })
    await Promise.all(clients).finally(() => {
      pushing = false
    })
    await Promise.all(collectors)
    for (const bytes of blobs) expect(await store.blobs.stat(digestOf(bytes))).toEqual({ size: bytes.length })
    for (const digest of live) await store.manifests.remove(team, digest, async () => false)
  }
})

it('never lets a manifest refer to what is gone, even when leases hold nothing', {
  timeout: 120_000,
}, async () => {
  await using folder = await temporaryFolder()
  await using opened = await openAt(folder.path, { workers: 2 })
  const { store } = opened
  const random = seededNumbers(11)
  const pause = pausing(random)
  const outcomes = { stored: 0, refused: 0 }
  const live = new Set<Digest>()
  let pushing = true
  const collectors = [0, 1].map(async () => {
    while (pushing) {
      await store.collect({ graceMs: 0, isLive: async (_, digest) => live.has(digest) })
      await pause()
    }
  })
  const client = async (lane: number): Promise<void> => {
    for (let round = 0; round < rounds || outcomes.refused === 0 || outcomes.stored === 0; round++) {
      const bytes = blobs[Math.floor(random() * blobs.length)] ?? new Uint8Array()
      const digest = digestOf(bytes)
      const name = `${lane} ${round}`
      const manifest = digestOf(new TextEncoder().encode(JSON.stringify({ name, references: [digest] })))
      await push(store, bytes)
      await pause()
      // Live beforehand: it is the manifest's own protection that is tested, not the time until it is published.
      live.add(manifest)
      try {
        await pushManifest(store, name, [digest])
      } catch (error) {
        expect(error).toMatchObject({ code: 'BLOB_MISSING', digests: [digest] })
        outcomes.refused++
        continue
      }
      outcomes.stored++
      await pause()
      expect(await store.blobs.stat(digest)).toEqual({ size: bytes.length })
      expect(await store.manifests.get(manifest)).toBeDefined()
      await pause()
      live.delete(manifest)
      await store.manifests.remove(team, manifest, async () => false)
    }
  }
  await Promise.all([0, 1, 2].map(client)).finally(() => {
    pushing = false
  })
  await Promise.all(collectors)
})
