import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Digest, hexOf, parseRepository, type Repository } from '../../../src/oci/oci.ts'
import { dataBytes } from '../../../src/store/room/fill.ts'
import type { AskingBudget, EvictionRules, FileStore, StoreOptions } from '../../../src/store/store.ts'
import {
  digestOf,
  expectBytes,
  type Folder,
  graceMs,
  type HandClock,
  handClock,
  inChunks,
  type Opened,
  openAt,
  push,
  pushManifest,
  readAll,
  readBlob,
  seededBytes,
  team,
  temporaryFolder,
} from '../scenery.ts'

const kib = 1024
/** A blob's: small, so that the test does not wait for the disk. */
const unit = 256 * kib
const { signal } = new AbortController()
const alpine = parseRepository('docker.io/library/alpine')

let folder: Folder
let clock: HandClock
let opened: Opened
let store: FileStore
const kept = new Set<Digest>()
const surplus = new Set<Digest>()
let evicted: Digest[]

let isWhole = true

const rules: EvictionRules = {
  isWhole: () => isWhole,
  async holdOf(repository, manifest) {
    if (manifest !== undefined && kept.has(manifest)) return { belongs: 'kept' }
    return { belongs: repository === alpine ? 'outside' : 'own' }
  },
  isSurplus: async (digest) => surplus.has(digest),
  isWanted: () => false,
}

async function open(options: Partial<StoreOptions> = {}): Promise<void> {
  opened = await openAt(folder.path, { clock, graceMs: graceMs * 1440, ...options })
  store = opened.store
  evicted = []
  store.room.onEvicted((digest) => void evicted.push(digest))
  store.room.follow(rules)
}

/** A blob and the manifest that refers to it, as a pull through this node leaves them. */
async function mirror(seed: number, length = unit, repository: Repository = alpine): Promise<Digest> {
  const bytes = seededBytes(length, seed)
  const digest = digestOf(bytes)
  await store.blobs.write(digest, inChunks(bytes))
  await store.links.add(repository, [digest])
  await pushManifest(store, `${repository} ${seed}`, [digest], repository)
  clock.advance(1000)
  return digest
}

const isHere = async (digest: Digest): Promise<boolean> => (await store.blobs.stat(digest)) !== undefined

beforeEach(async () => {
  folder = await temporaryFolder()
  clock = handClock()
  isWhole = true
  kept.clear()
  surplus.clear()
})

afterEach(async () => {
  await opened[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

describe('a store that may fill so much of the disk', () => {
  // The database takes some of it.
  const maxDiskBytes = 10 * unit
  /** By so much the database may grow before it is counted again. */
  const untilWalkedBytes = unit / 2

  it('takes far more mirrored content than it has room for, and has what was used last', async () => {
    await open({ maxDiskBytes })
    const all: Digest[] = []
    for (let seed = 1; seed <= 40; seed++) {
      all.push(await mirror(seed))
      expect(await dataBytes(folder.path, signal)).toBeLessThanOrEqual(maxDiskBytes + untilWalkedBytes)
      // Pulled again and again, however old it is.
      expect(await readBlob(store, all[0] as Digest)).toBeDefined()
      clock.advance(5000)
    }
    for (const digest of all.slice(-3)) expect(await isHere(digest)).toBe(true)
    expect(await isHere(all[0] as Digest)).toBe(true)
    expect(evicted).toEqual(all.slice(1, 1 + evicted.length))
    expect(evicted.length).toBeGreaterThan(20)
  })

  it('spares what was read, kept or pushed since it was found to be next', async () => {
    await open({ maxDiskBytes })
    const all: Digest[] = []
    // One beyond the limit: what the look for its room found is gone by in the rounds after it.
    for (let seed = 1; all.length < 30 && evicted.length === 0; seed++) all.push(await mirror(seed))
    const left = all.filter((digest) => !evicted.includes(digest))
    const [read, keptOne, pushed, ...others] = left as [Digest, Digest, Digest, ...Digest[]]
    expect(others.length).toBeGreaterThan(2)
    expect(await readBlob(store, read)).toBeDefined()
    // The manifest that mirrored it: stored again it is the same.
    kept.add(await pushManifest(store, `${alpine} ${all.indexOf(keptOne) + 1}`, [keptOne], alpine))
    await store.links.add(team, [pushed])
    await pushManifest(store, 'pushed as well', [pushed], team)
    const before = evicted.length
    for (let seed = 100; evicted.length < before + 2; seed++) await mirror(seed)
    expect(evicted.slice(before)).toEqual(others.slice(0, evicted.length - before))
    for (const digest of [read, keptOne, pushed]) expect(await isHere(digest)).toBe(true)
  })

  it('refuses a push that it cannot make room for, and takes it once it can', async () => {
    await open({ maxDiskBytes })
    for (let seed = 1; seed <= 8; seed++) await push(store, seededBytes(unit, seed))
    const large = seededBytes(4 * unit, 99)
    await expect(push(store, large)).rejects.toMatchObject({
      code: 'STORE_FULL',
      message: expect.stringMatching(/--max-disk.*shoal gc --plan/),
    })
    expect(evicted).toEqual([])
    for (let seed = 1; seed <= 8; seed++) {
      const digest = digestOf(seededBytes(unit, seed))
      expect(await isHere(digest)).toBe(true)
      await pushManifest(store, `pushed ${seed}`, [digest])
      if (seed <= 5) surplus.add(digest)
    }
    // Whoever was told that they are here may still refer to them.
    clock.advance(8 * 3_600_000)
    expectBytes(await readBlob(store, await push(store, large)), large)
    expect(evicted.length).toBeGreaterThan(0)
    expect(evicted.every((digest) => surplus.has(digest))).toBe(true)
  })

  it('empties itself for nothing that could not fit then', async () => {
    await open({ maxDiskBytes })
    for (let seed = 1; seed <= 5; seed++) await mirror(seed)
    const plan = {
      digest: digestOf(seededBytes(1)),
      size: 100 * unit,
      pieceBytes: unit,
      hashes: new Uint8Array(),
    }
    await expect(store.partials.open(plan)).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(evicted).toEqual([])
  })

  it('lets no blob go that a keep rule holds, whatever else has it', async () => {
    await open({ maxDiskBytes })
    const digest = await mirror(1)
    kept.add(await pushManifest(store, 'kept', [digest], alpine))
    for (let seed = 2; seed <= 20; seed++) await mirror(seed)
    expect(await isHere(digest)).toBe(true)
    expect(evicted.length).toBeGreaterThan(8)
  })

  it('lets no blob go that a repository of the cluster has as well', async () => {
    await open({ maxDiskBytes })
    const digest = await mirror(1)
    await store.links.add(team, [digest])
    for (let seed = 2; seed <= 20; seed++) await mirror(seed)
    expect(await isHere(digest)).toBe(true)
  })

  it('lets a blob be read to its end, and takes others meanwhile', async () => {
    await open({ maxDiskBytes })
    const first = await mirror(1)
    await using blob = await store.blobs.open(first)
    const chunks = blob?.chunks(0, unit)[Symbol.asyncIterator]()
    const read = [Uint8Array.from((await chunks?.next())?.value ?? [])]
    for (let seed = 2; seed <= 20; seed++) await mirror(seed)
    expect(await isHere(first)).toBe(true)
    for (let next = await chunks?.next(); next?.done === false; next = await chunks?.next())
      read.push(Uint8Array.from(next.value))
    expectBytes(new Uint8Array(Buffer.concat(read)), seededBytes(unit, 1))
  })

  it('lets nothing go while links that the disk took are made anew', async () => {
    await open({ maxDiskBytes })
    for (let seed = 1; seed <= 8; seed++) await mirror(seed)
    isWhole = false
    await expect(mirror(9, 3 * unit)).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(evicted).toEqual([])
    isWhole = true
    await mirror(9, 3 * unit)
    expect(evicted.length).toBeGreaterThan(0)
  })

  it('counts what the last run left', async () => {
    await open({ maxDiskBytes })
    const all: Digest[] = []
    for (let seed = 1; seed <= 7; seed++) all.push(await mirror(seed))
    expect(await readBlob(store, all[0] as Digest)).toBeDefined()
    await opened[Symbol.asyncDispose]()
    await open({ maxDiskBytes })
    for (let seed = 8; seed <= 12; seed++) await mirror(seed)
    expect(await isHere(all[0] as Digest)).toBe(true)
    expect(evicted[0]).toBe(all[1])
    expect(await dataBytes(folder.path, signal)).toBeLessThanOrEqual(maxDiskBytes + untilWalkedBytes)
  })
})

describe('a blob that is evicted', () => {
  beforeEach(() => open())

  it('keeps its links, and can be had again', async () => {
    const digest = await mirror(1)
    expect(await store.room.evict(digest)).toBe(unit)
    expect(await store.room.evict(digest)).toBeUndefined()
    expect(await isHere(digest)).toBe(false)
    expect(await store.links.has(alpine, digest)).toBe(true)
    await store.blobs.write(digest, inChunks(seededBytes(unit, 1)))
    expectBytes(await readBlob(store, digest), seededBytes(unit, 1))
  })

  it('is not there for a manifest that would rely on it', async () => {
    const digest = await push(store, seededBytes(kib))
    await store.room.evict(digest)
    await expect(pushManifest(store, 'relies on it', [digest])).rejects.toMatchObject({
      code: 'BLOB_MISSING',
      digests: [digest],
    })
  })

  it('stays while a push relies on it', async () => {
    const digest = await mirror(1)
    await store.hold([digest], async () => {
      expect(await store.room.evict(digest)).toBeUndefined()
      await store.links.add(team, [digest])
    })
    expect(await isHere(digest)).toBe(true)
  })

  it('is read whole or is cleanly missing, whoever comes first', async () => {
    const bytes = seededBytes(3 * unit, 1)
    const digest = await mirror(1, bytes.length)
    let whole = 0
    for (let round = 0; round < 15; round++) {
      const reading = (async () => {
        const blob = await store.blobs.open(digest)
        if (blob === undefined) return
        await using read = blob
        expectBytes(await readAll(read), bytes)
        whole++
      })()
      await Promise.all([reading, store.room.evict(digest)])
      if (!(await isHere(digest))) await store.blobs.write(digest, inChunks(bytes))
    }
    expect(whole).toBeGreaterThan(0)
  })

  it('leaves the file or nothing after a crash, never a name without its bytes', async () => {
    const digest = await mirror(1)
    await store.room.evict(digest)
    await opened[Symbol.asyncDispose]()
    const shard = join(folder.path, 'blobs/sha256', hexOf(digest).slice(0, 2))
    expect(await readdir(shard)).toEqual([])
    await open()
    expect(await isHere(digest)).toBe(false)
    const report = await store.collect({ isLive: async () => true, graceMs })
    expect(report.links).toBe(0)
  })
})

describe('the plan', () => {
  beforeEach(() => open())

  it('says what would go in its turn, and lets nothing go', async () => {
    const [first, second] = [await mirror(1), await mirror(2)]
    const spare = await push(store, seededBytes(kib, 3))
    await pushManifest(store, 'spare', [spare])
    surplus.add(spare)
    const lone = await push(store, seededBytes(kib, 4))
    const needed = await push(store, seededBytes(kib, 5))
    await pushManifest(store, 'needed', [needed])
    clock.advance(8 * 3_600_000)
    await readBlob(store, first)
    const { candidates, totals } = await store.room.plan()
    expect(candidates.map(({ digest, reason }) => [digest, reason])).toEqual([
      [second, 'mirrored'],
      [first, 'mirrored'],
      [spare, 'surplus'],
      [lone, 'unreferenced'],
    ])
    expect(totals.mirrored).toEqual({ blobs: 2, bytes: 2 * unit })
    for (const digest of [first, second, spare, lone, needed]) expect(await isHere(digest)).toBe(true)
  })

  it('asks for copies of what could go by that alone, within one budget for each look', async () => {
    await mirror(1)
    const pinned = await push(store, seededBytes(kib, 2))
    kept.add(await pushManifest(store, 'pinned', [pinned]))
    await push(store, seededBytes(kib, 3))
    const needed: Digest[] = []
    for (const seed of [4, 5]) {
      const digest = await push(store, seededBytes(kib, seed))
      await pushManifest(store, `needed ${seed}`, [digest])
      needed.push(digest)
    }
    clock.advance(8 * 3_600_000)
    const promised = await push(store, seededBytes(kib, 6))
    await pushManifest(store, 'promised', [promised])
    const asked = new Map<AskingBudget, Digest[]>()
    store.room.follow({
      ...rules,
      async isSurplus(digest, budget) {
        asked.set(budget, [...(asked.get(budget) ?? []), digest])
        return false
      },
    })
    await store.room.plan()
    await store.room.plan()
    expect([...asked.values()]).toEqual([needed.toSorted(), needed.toSorted()])
    for (const { leftMs } of asked.keys()) expect(leftMs).toBe(5_000)
  })

  it('holds what somebody was told is here within the hour', async () => {
    const lone = await push(store, seededBytes(kib))
    clock.advance(6 * 3_600_000)
    // So often leases are renewed; it may have been asked for since without a write.
    expect((await store.room.plan()).candidates).toEqual([])
    clock.advance(3_600_000)
    expect((await store.room.plan()).candidates.map(({ digest }) => digest)).toEqual([lone])
  })
})
