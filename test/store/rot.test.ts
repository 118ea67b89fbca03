/** What a store does with content that its disk changed: it never gives the end of it, moves it away, and says so. */
import type { Stats } from 'node:fs'
import { open, readdir, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Keyed, noMetrics, silentLogger, steadyClock } from '../../src/base/base.ts'
import { algorithmOf, type Digest, hexOf } from '../../src/oci/oci.ts'
import { SoundFiles } from '../../src/store/blobs/sound-files.ts'
import { SumTable } from '../../src/store/blobs/sum-table.ts'
import { Verifier } from '../../src/store/blobs/verifier.ts'
import { openTables } from '../../src/store/database/database.ts'
import { BlobFiles } from '../../src/store/files/blob-files.ts'
import { DiskSpace } from '../../src/store/files/disk-space.ts'
import { IngestPool } from '../../src/store/ingest/ingest-pool.ts'
import { Claims } from '../../src/store/links/claims.ts'
import { Leases } from '../../src/store/links/leases.ts'
import { openDatabase } from '../../src/store/store.ts'
import {
  digestOf,
  expectBytes,
  type Folder,
  handClock,
  inChunks,
  type Opened,
  openAt,
  push,
  pushManifest,
  readBlob,
  seededBytes,
  team,
  temporaryFolder,
} from './scenery.ts'

let folder: Folder
let opened: Opened
let clock: ReturnType<typeof handClock>

beforeEach(async () => {
  folder = await temporaryFolder()
  clock = handClock()
  opened = await openAt(folder.path, { clock })
})

afterEach(async () => {
  await opened[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** What a reader got before the store refused to go on; `whole` when it did not. */
async function readOf(digest: Digest, start = 0, end = Number.POSITIVE_INFINITY) {
  const blob = await opened.store.blobs.open(digest)
  if (blob === undefined) return { bytes: 0, end: 'missing' }
  await using reading = blob
  let bytes = 0
  try {
    for await (const chunk of reading.chunks(start, Math.min(end, reading.size))) bytes += chunk.length
    return { bytes, end: 'whole' }
  } catch (error) {
    return { bytes, end: error instanceof Error && 'code' in error ? error.code : error }
  }
}

const pathOf = (digest: Digest): string =>
  join(folder.path, 'blobs', algorithmOf(digest), hexOf(digest).slice(0, 2), hexOf(digest))

async function flip(digest: Digest, at: number): Promise<void> {
  await using file = await open(pathOf(digest), 'r+')
  const byte = new Uint8Array(1)
  await file.read(byte, 0, 1, at)
  await file.write(Uint8Array.of((byte[0] ?? 0) ^ 4), 0, 1, at)
}

async function withClosedStore(work: () => Promise<void>): Promise<void> {
  await opened[Symbol.asyncDispose]()
  await work()
  opened = await openAt(folder.path, { clock })
}

const size = 3_000_000

describe('a blob of which one byte rotted', () => {
  it.each([0, 1_500_000, size - 1])('never comes to its end, with byte %i wrong', async (at) => {
    const blob = await push(opened.store, seededBytes(size))
    await withClosedStore(() => flip(blob, at))
    const read = await readOf(blob)
    expect(read.end).toBe('BLOB_ROTTEN')
    expect(read.bytes).toBeLessThan(size)
  })

  it('is gone for whoever asks next, and what was there lies in quarantine', async () => {
    const blob = await push(opened.store, seededBytes(size))
    await withClosedStore(() => flip(blob, 1_500_000))
    const lost = Promise.withResolvers<unknown>()
    opened.store.onQuarantined(lost.resolve)
    await readOf(blob)
    expect(await opened.store.blobs.stat(blob)).toBeUndefined()
    expect(await opened.store.blobs.open(blob)).toBeUndefined()
    expect(await lost.promise).toEqual({ kind: 'blob', digest: blob })
    expect(await opened.store.links.has(team, blob)).toBe(true)
    await push(opened.store, seededBytes(size))
    expectBytes(await readBlob(opened.store, blob), seededBytes(size))
  })

  it('is found out while the store runs, too', async () => {
    const blob = await push(opened.store, seededBytes(size))
    expect((await readOf(blob)).end).toBe('whole')
    await flip(blob, 1_500_000)
    expect((await readOf(blob)).end).toBe('BLOB_ROTTEN')
  })

  it('is not even begun with when it is small, so that another copy can be given', async () => {
    const blob = await push(opened.store, seededBytes(100_000))
    expect((await readOf(blob)).end).toBe('whole')
    await flip(blob, 50_000)
    expect(await readOf(blob)).toEqual({ bytes: 0, end: 'missing' })
    expect(await opened.store.blobs.stat(blob)).toBeUndefined()
  })

  it('gives ranges that are right, and no other', async () => {
    const blob = await push(opened.store, seededBytes(size))
    await withClosedStore(() => flip(blob, 1_500_000))
    expect(await readOf(blob, 100, 1000)).toEqual({ bytes: 900, end: 'whole' })
    expect(await readOf(blob, 2_500_000, size)).toEqual({ bytes: 500_000, end: 'whole' })
    expect((await readOf(blob, 1_499_990, 1_500_000)).end).toBe('BLOB_ROTTEN')
  })

  it('that came without an upload is found out as well', async () => {
    const bytes = seededBytes(size)
    const blob = digestOf(bytes)
    await opened.store.blobs.write(blob, inChunks(bytes))
    await withClosedStore(() => flip(blob, 7))
    expect((await readOf(blob)).end).toBe('BLOB_ROTTEN')
  })

  it('that was stored before there were sums of its blocks is hashed whole', async () => {
    const blob = await push(opened.store, seededBytes(size))
    const good = await push(opened.store, seededBytes(size, 2))
    await withClosedStore(async () => {
      await clearSums()
      await flip(blob, 7)
    })
    expect((await readOf(blob)).end).toBe('BLOB_ROTTEN')
    expect((await readOf(good)).end).toBe('whole')
  })

  it('is found out also when the disk gives the right bytes the next time', async () => {
    const blob = await push(opened.store, seededBytes(size))
    await withClosedStore(() => flip(blob, 7))
    const got: Uint8Array[] = []
    const reading = async (): Promise<void> => {
      await using reader = await opened.store.blobs.open(blob)
      if (reader === undefined) throw new Error('it is not here')
      for await (const chunk of reader.chunks(0, size)) {
        if (got.length === 0) await flip(blob, 7)
        got.push(Uint8Array.from(chunk))
      }
    }
    // What is compared are the bytes that are given, not others that were read beside them.
    await expect(reading()).rejects.toMatchObject({ code: 'BLOB_ROTTEN' })
    expect(got).toEqual([])
  })

  it('gets its sums anew when they are what rotted', async () => {
    const blob = await push(opened.store, seededBytes(size))
    await withClosedStore(async () => {
      await using database = await openDatabase(folder.path)
      const { sums } = openTables(database)
      const row = Uint8Array.from((await sums.get(blob)) ?? [])
      row[row.length - 1] = (row.at(-1) ?? 0) ^ 1
      await sums.put(blob, row)
    })
    // The sums may be right and the disk wrong: which of them is known once all is hashed.
    expect((await readOf(blob)).end).toBe('whole')
    await withClosedStore(async () => undefined)
    expect((await readOf(blob)).end).toBe('whole')
  })
})

describe('a file that was found right', () => {
  const facts = { ino: 7, size: 100, ctimeMs: 5000 }
  const digest = digestOf(seededBytes(100))

  it('is believed to be so for ten minutes, until it is written to or replaced', () => {
    const sound = new SoundFiles(new Leases(clock, 60_000))
    expect(sound.has(digest, facts)).toBe(false)
    for (const change of [{ ino: 8 }, { size: 99 }, { ctimeMs: 5001 }]) {
      sound.add(digest, facts)
      expect(sound.has(digest, { ...facts, ...change })).toBe(false)
    }
    sound.add(digest, facts)
    clock.advance(599_999)
    expect(sound.has(digest, facts)).toBe(true)
    clock.advance(1)
    expect(sound.has(digest, facts)).toBe(false)
  })
})

describe('a manifest that rotted in the database', () => {
  it('is not given, and lies in quarantine', async () => {
    const manifest = await pushManifest(opened.store, 'm', [])
    await withClosedStore(async () => {
      await using database = await openDatabase(folder.path)
      await openTables(database).manifests.put(manifest, seededBytes(10))
    })
    const lost: unknown[] = []
    opened.store.onQuarantined((quarantined) => lost.push(quarantined))
    expect(await opened.store.manifests.get(manifest)).toBeUndefined()
    expect(lost).toEqual([{ kind: 'manifest', digest: manifest }])
    expect(await readdir(join(folder.path, 'quarantine'))).toHaveLength(1)
    expect(await pushManifest(opened.store, 'm', [])).toBe(manifest)
    expect(await opened.store.manifests.get(manifest)).toBeDefined()
  })
})

/** Files that the collector takes between the look at one and its reading. */
class VanishingFiles extends BlobFiles {
  override async stat(digest: Digest): Promise<Stats | undefined> {
    const found = await super.stat(digest)
    await this.remove(digest)
    return found
  }
}

it('goes on verifying when the collector takes a blob that it is about to read', async () => {
  const blob = await push(opened.store, seededBytes(1000))
  await withClosedStore(async () => {
    await using stack = new AsyncDisposableStack()
    const database = stack.use(await openDatabase(folder.path))
    const tables = openTables(database)
    const leases = new Leases(clock, 60_000)
    const space = new DiskSpace(folder.path, 0)
    const verifier = new Verifier({
      context: { database, tables, turns: new Keyed(), claims: new Claims(), leases, recent: new Map() },
      files: new VanishingFiles(folder.path),
      pool: stack.use(new IngestPool({ threads: 1, space, clock: steadyClock, logger: silentLogger })),
      sums: new SumTable(tables),
      sound: new SoundFiles(leases),
      logger: silentLogger,
      metrics: noMetrics,
    })
    expect(await verifier.verify()).toEqual({ blobs: 0, manifests: 0, bytes: 0, corrupt: [], unreadable: [] })
  })
  expect(await opened.store.blobs.stat(blob)).toBeUndefined()
})

describe('a blob that was cut short', () => {
  it('is not here', async () => {
    const blob = await push(opened.store, seededBytes(size))
    const other = await push(opened.store, seededBytes(size, 2))
    await truncate(pathOf(blob), 1_000_000)
    await truncate(pathOf(other), 1_000_000)
    expect(await opened.store.blobs.stat(blob)).toBeUndefined()
    expect(await opened.store.blobs.open(other)).toBeUndefined()
    await expect(stat(pathOf(blob))).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(stat(pathOf(other))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('is asked for again by a manifest that needs it', async () => {
    const blob = await push(opened.store, seededBytes(size))
    await truncate(pathOf(blob), 0)
    await expect(pushManifest(opened.store, 'm', [blob])).rejects.toMatchObject({
      code: 'BLOB_MISSING',
      digests: [blob],
    })
  })
})

async function clearSums(): Promise<void> {
  await using database = await openDatabase(folder.path)
  await openTables(database).sums.clear()
}
