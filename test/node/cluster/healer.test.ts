/** What rotted on one node's disk and comes back from another's: real stores and exchanges over a mesh. */
import { type FileHandle, open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { openHealer } from '../../../node/cluster/healer.ts'
import { silentLogger } from '../../../src/base/base.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import { type Digest, hexOf, mediaTypes } from '../../../src/oci/oci.ts'
import { openTables } from '../../../src/store/database/database.ts'
import { type FileStore, openDatabase, openStore, StoreFullError } from '../../../src/store/store.ts'
import { openWorld, repository, type World } from '../../exchange/lab/fixture.ts'
import {
  digestOf,
  expectBytes,
  inChunks,
  readBlob,
  seededBytes,
  temporaryFolder,
} from '../../store/scenery.ts'

const bytes = seededBytes(1_000_000)
const digest = digestOf(bytes)
const manifestBytes = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: 'application/json', digest, size: 1 },
    layers: [],
  }),
)
const manifest = digestOf(manifestBytes)

let stack: AsyncDisposableStack
let world: World
let folder: string
let store: FileStore
let rotManifest: () => Promise<void>
/** Resolves with the message of the log line that ends a healing. */
let outcome: PromiseWithResolvers<string>
let announced: PromiseWithResolvers<Digest>
const withdrawn: Digest[] = []

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  folder = stack.use(await temporaryFolder()).path
  world = stack.use(openWorld())
  const database = stack.adopt(await openDatabase(folder), (opened) => opened.close())
  rotManifest = () => openTables(database).manifests.put(manifest, seededBytes(10))
  store = stack.use(await openStore({ directory: folder, database, minFreeBytes: 0, workers: 1 }))
  announced = Promise.withResolvers()
  withdrawn.length = 0
  outcome = Promise.withResolvers()
})

afterEach(() => stack.disposeAsync())

async function joinMesh(checked: Partial<FileStore> = {}): Promise<{ suspect(digest: Digest): void }> {
  const { exchange } = await world.node({
    override: {
      blobs: store.blobs,
      partials: store.partials,
      hashPieces: async (blob) => {
        const { pieceBytes } = layoutOf(bytes.length)
        return await store.hashPieces(blob, { pieceBytes, start: 0, end: bytes.length })
      },
    },
  })
  const tell = (_facts: object, message: string): void => outcome.resolve(message)
  return stack.use(
    openHealer({
      store: { ...store, ...checked },
      clock: { now: () => 0, sleep: async () => undefined },
      names: {
        findManifest: async () => {
          return { digest: manifest, mediaType: mediaTypes.ociManifest, size: 1, writtenMs: 0, author: 'ann' }
        },
      },
      providers: {
        announce: (blob) => announced.resolve(blob),
        withdraw: (blob) => withdrawn.push(blob),
      },
      exchange,
      elsewhere: {
        fetchManifest: async () => manifestBytes,
        announce: () => undefined,
        prefetch: () => undefined,
      },
      logger: { ...silentLogger, info: tell, error: tell },
    }),
  )
}

async function holdRottenBlob(): Promise<void> {
  await store.blobs.write(digest, inChunks(bytes))
  await store.links.add(repository, [digest])
  const hex = hexOf(digest)
  const path = join(folder, 'blobs/sha256', hex.slice(0, 2), hex)
  const file = await readFile(path)
  file[500_000] = (file[500_000] ?? 0) ^ 1
  await writeFile(path, file)
}

describe('a blob that rotted', () => {
  it('is brought anew from a member as soon as a reader finds it out', async () => {
    await holdRottenBlob()
    await joinMesh()
    await (await world.node()).holds(bytes)
    await expect(readBlob(store, digest)).rejects.toMatchObject({ code: 'BLOB_ROTTEN' })
    expect(await outcome.promise).toBe('what rotted was brought anew from other members')
    expectBytes(await readBlob(store, digest), bytes)
    expect(withdrawn).toEqual([digest])
  })

  it('is brought anew when a member complains of it', async () => {
    await holdRottenBlob()
    const healer = await joinMesh()
    await (await world.node()).holds(bytes)
    healer.suspect(digest)
    expect(await outcome.promise).toBe('what rotted was brought anew from other members')
    expectBytes(await readBlob(store, digest), bytes)
  })

  it('stays in quarantine, and is said to, where nobody else has it', async () => {
    await holdRottenBlob()
    await joinMesh()
    await expect(readBlob(store, digest)).rejects.toMatchObject({ code: 'BLOB_ROTTEN' })
    expect(await outcome.promise).toBe('what rotted is in quarantine, and no member gives another copy')
    expect(await store.blobs.stat(digest)).toBeUndefined()
  })
})

describe('a blob that turns out to be right', () => {
  it('is announced again', async () => {
    await store.blobs.write(digest, inChunks(bytes))
    const healer = await joinMesh()
    healer.suspect(digest)
    expect(await announced.promise).toBe(digest)
    expectBytes(await readBlob(store, digest), bytes)
  })

  it.each([
    ['EMFILE', 3],
    ['EIO', 1],
  ])('is announced again once it can be read after %s', async (code, times) => {
    await store.blobs.write(digest, inChunks(bytes))
    let failures = 0
    const healer = await joinMesh({
      async verifyBlob(blob) {
        if (failures++ < times) throw Object.assign(new Error(code), { code, syscall: 'open' })
        return await store.verifyBlob(blob)
      },
    })
    healer.suspect(digest)
    expect(await announced.promise).toBe(digest)
    expect(withdrawn).toEqual([])
  })
})

describe('a blob that the disk does not give', () => {
  const broken = (): Error => Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' })

  /** Until it is set aside, and of that file as often as it says. */
  async function holdUnreadable(reads: number): Promise<void> {
    await store.blobs.write(digest, inChunks(bytes))
    await store.links.add(repository, [digest])
    let left = reads
    await joinMesh({
      async verifyBlob() {
        throw broken()
      },
      async takeBack(blob, path) {
        return left-- <= 0 && (await store.takeBack(blob, path))
      },
    })
  }

  async function readOnce(): Promise<void> {
    const read = vi.spyOn(await readable(), 'read').mockRejectedValueOnce(broken())
    await expect(readBlob(store, digest)).rejects.toMatchObject({ code: 'EIO' })
    read.mockRestore()
  }

  it('is brought anew from a member when it fails again after a pause', async () => {
    await holdUnreadable(Number.POSITIVE_INFINITY)
    await (await world.node()).holds(bytes)
    await readOnce()
    expect(await outcome.promise).toBe('what rotted was brought anew from other members')
    expectBytes(await readBlob(store, digest), bytes)
    expect(withdrawn).toEqual([digest])
    expect(await readdir(join(folder, 'quarantine'))).toHaveLength(1)
  })

  it('is not here meanwhile, and is again once its file can be read, where nobody else has it', async () => {
    await holdUnreadable(2)
    await readOnce()
    expect(await outcome.promise).toBe('what rotted is in quarantine, and no member gives another copy')
    expect(await announced.promise).toBe(digest)
    expectBytes(await readBlob(store, digest), bytes)
    expect(await readdir(join(folder, 'quarantine'))).toEqual([])
  })

  it('is here again after a restart, once its file can be read', async () => {
    await store.blobs.write(digest, inChunks(bytes))
    await store.links.add(repository, [digest])
    expect(await store.setAside(digest)).toBeDefined()
    expect(await store.blobs.stat(digest)).toBeUndefined()
    await joinMesh()
    expect(await announced.promise).toBe(digest)
    expectBytes(await readBlob(store, digest), bytes)
  })
})

/** What all open files have in common. */
async function readable(): Promise<FileHandle> {
  await using file = await open(import.meta.filename, 'r')
  return Object.getPrototypeOf(file)
}

describe('a manifest that rotted', () => {
  it('is brought anew from a member', async () => {
    await store.manifests.put({
      repository,
      digest: manifest,
      bytes: manifestBytes,
      references: [],
      required: [],
    })
    await joinMesh()
    await rotManifest()
    expect(await store.manifests.get(manifest)).toBeUndefined()
    await outcome.promise
    expectBytes(await store.manifests.get(manifest), manifestBytes)
  })

  it('is brought anew once the disk has room, and that it had none is no error', async () => {
    const put: FileStore['manifests']['put'] = (options) => store.manifests.put(options)
    const content = { repository, digest: manifest, bytes: manifestBytes, references: [], required: [] }
    await store.manifests.put(content)
    let refusals = 0
    await joinMesh({
      manifests: {
        ...store.manifests,
        async put(options) {
          if (refusals++ < 3) throw new StoreFullError('the disk is full')
          return await put(options)
        },
      },
    })
    await rotManifest()
    expect(await store.manifests.get(manifest)).toBeUndefined()
    expect(await outcome.promise).toBe('what rotted was brought anew from other members')
    expectBytes(await store.manifests.get(manifest), manifestBytes)
  })
})
