/** Reading everything again: when, in what order, behind whom, and what is kept of it. */
import { open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { algorithmOf, type Digest, hexOf } from '../../../src/oci/oci.ts'
import { openTables } from '../../../src/store/database/database.ts'
import { openDatabase } from '../../../src/store/store.ts'
import {
  type Folder,
  listAll,
  type Opened,
  openAt,
  push,
  pushManifest,
  seededBytes,
  temporaryFolder,
} from '../scenery.ts'

const startMs = 1_700_000_000_000
const periodMs = 30 * 24 * 3_600_000

let folder: Folder
let opened: Opened
let nowMs: number
let untilMs: number
let slept: number[]
let stopping: AbortController
/** What was found wrong, and when. */
let found: { digest: Digest; atMs: number }[]

/** Time passes while somebody sleeps, and stops the scrub when it has come to `untilMs`. */
const clock = {
  now: () => nowMs,
  sleep: async (ms: number, { signal }: { signal?: AbortSignal } = {}) => {
    // The store writes its own time that often; nobody waits for that here.
    if (ms === 600_000) return await aborted(signal)
    slept.push(ms)
    nowMs += ms
    if (nowMs >= untilMs) stopping.abort(new Error('the time is over'))
    stopping.signal.throwIfAborted()
  },
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
}

async function openStoreHere(): Promise<void> {
  opened = await openAt(folder.path, { clock })
  opened.store.onQuarantined(({ digest }) => found.push({ digest, atMs: nowMs }))
}

beforeEach(async () => {
  folder = await temporaryFolder()
  nowMs = startMs
  slept = []
  found = []
  await openStoreHere()
})

afterEach(async () => {
  await opened[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

async function scrubUntil(ms: number): Promise<void> {
  untilMs = ms
  stopping = new AbortController()
  const running = opened.store.scrub.run({ periodMs, signal: stopping.signal })
  await expect(running).rejects.toThrow('the time is over')
}

const pathOf = (digest: Digest): string =>
  join(folder.path, 'blobs', algorithmOf(digest), hexOf(digest).slice(0, 2), hexOf(digest))

async function rot(digest: Digest): Promise<void> {
  await using file = await open(pathOf(digest), 'r+')
  await file.write(Uint8Array.of(1, 2, 3, 4), 0, 4, 0)
}

const turnOf = (digest: Digest): number => Number.parseInt(hexOf(digest).slice(0, 8), 16) / 16 ** 8

async function pushSome(count: number): Promise<Digest[]> {
  const digests: Digest[] = []
  for (let seed = 1; seed <= count; seed++) digests.push(await push(opened.store, seededBytes(1000, seed)))
  return digests.sort()
}

describe('the scrub', () => {
  it('reads each blob at its own time within the period', async () => {
    const digests = await pushSome(6)
    for (const digest of digests) await rot(digest)
    await scrubUntil(startMs + periodMs + 1)
    expect(found.map(({ digest }) => digest)).toEqual(digests)
    for (const { digest, atMs } of found) {
      const dueMs = startMs + turnOf(digest) * periodMs
      expect(Math.abs(atMs - dueMs)).toBeLessThan(1000)
    }
    const { last } = await opened.store.scrub.status()
    expect(last).toMatchObject({ blobs: 6, bytes: 6000, corrupt: 6, unread: 0, startedMs: startMs })
  })

  it('goes on where it was after a restart, and reads nothing twice', async () => {
    const digests = await pushSome(6)
    await scrubUntil(startMs + periodMs / 2)
    const before = await opened.store.scrub.status()
    const early = digests.filter((digest) => turnOf(digest) < 0.5).length
    expect(before.round.blobs).toBe(early)
    expect(before.done).toBeGreaterThan(0.49)
    await opened[Symbol.asyncDispose]()
    await openStoreHere()
    expect(await opened.store.scrub.status()).toEqual(before)
    await scrubUntil(startMs + periodMs + 1)
    expect((await opened.store.scrub.status()).last?.blobs).toBe(6)
  })

  it('makes up for the time that the node was off', async () => {
    await pushSome(3)
    await scrubUntil(startMs + 1)
    nowMs = startMs + 2 * periodMs
    await scrubUntil(nowMs + 60_000)
    const { last, round } = await opened.store.scrub.status()
    expect(last?.blobs).toBe(3)
    expect(round.startedMs).toBeGreaterThanOrEqual(startMs + 2 * periodMs)
  })

  it('begins anew when the clock was ahead before', async () => {
    const [digest] = await pushSome(1)
    if (digest === undefined) throw new Error('nothing was pushed')
    nowMs = startMs + 100 * periodMs
    await scrubUntil(nowMs + 1)
    nowMs = startMs
    await rot(digest)
    await scrubUntil(startMs + periodMs + 1)
    expect(found).toHaveLength(1)
  })

  it('waits for clients, and not for ever', async () => {
    const [digest] = await pushSome(1)
    if (digest === undefined) throw new Error('nothing was pushed')
    const blob = await opened.store.blobs.open(digest)
    if (blob === undefined) throw new Error('not found')
    await using reading = blob
    const chunks = reading.chunks(0, reading.size)[Symbol.asyncIterator]()
    await chunks.next()
    await scrubUntil(startMs + periodMs + 1)
    expect(slept.filter((ms) => ms === 100)).toHaveLength(10)
    await chunks.return?.()
    slept = []
    await scrubUntil(startMs + 2 * periodMs + 2)
    expect(slept.filter((ms) => ms === 100)).toHaveLength(0)
  })

  it('rests between the parts of a large blob', async () => {
    await push(opened.store, new Uint8Array(20 * 1024 * 1024))
    await scrubUntil(startMs + periodMs + 1)
    expect(slept.filter((ms) => ms === 10)).toHaveLength(2)
    expect((await opened.store.scrub.status()).last?.bytes).toBe(20 * 1024 * 1024)
  })

  it('rests between the tables of the database', async () => {
    await pushManifest(opened.store, 'm', [])
    await opened[Symbol.asyncDispose]()
    // What was written is in a table from then on.
    await openStoreHere()
    const tables = (await readdir(join(folder.path, 'db'))).filter((name) => name.endsWith('.ldb'))
    expect(tables).not.toEqual([])
    slept = []
    await scrubUntil(startMs + periodMs / 2)
    expect(slept.filter((ms) => ms === 10)).toHaveLength(tables.length)
  })

  it('finds manifests that rotted in the database', async () => {
    const manifest = await pushManifest(opened.store, 'm', [])
    const good = await pushManifest(opened.store, 'n', [])
    await opened[Symbol.asyncDispose]()
    const database = await openDatabase(folder.path)
    await openTables(database).manifests.put(manifest, seededBytes(10))
    await database.close()
    await openStoreHere()
    await scrubUntil(startMs + periodMs + 1)
    expect(found.map(({ digest }) => digest)).toEqual([manifest])
    expect((await opened.store.scrub.status()).last).toMatchObject({ manifests: 2, corrupt: 1 })
    expect(await listAll(opened.store.manifests.list())).toEqual([good])
  })

  it('drops the sums of blobs that are gone', async () => {
    const [first, second] = await pushSome(2)
    if (first === undefined || second === undefined) throw new Error('nothing was pushed')
    await rm(pathOf(first))
    await scrubUntil(startMs + periodMs + 1)
    await opened[Symbol.asyncDispose]()
    const database = await openDatabase(folder.path)
    expect(await openTables(database).sums.keys().all()).toEqual([second])
    await database.close()
    await openStoreHere()
  })
})
