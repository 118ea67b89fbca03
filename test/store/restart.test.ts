import { chmod, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { algorithmOf, type Digest, digestBytes, hexOf } from '../../src/oci/oci.ts'
import { linkKey, openTables } from '../../src/store/database/database.ts'
import { openDatabase, type Store } from '../../src/store/store.ts'
import {
  digestOf,
  expectBytes,
  type Folder,
  inChunks,
  listAll,
  type Opened,
  openAt,
  push,
  pushManifest,
  readBlob,
  seededBytes,
  stalling,
  team,
  temporaryFolder,
} from './scenery.ts'

let folder: Folder
let opened: Opened
let store: Store

const open = async (): Promise<void> => {
  opened = await openAt(folder.path)
  store = opened.store
}

const reopen = async (): Promise<void> => {
  await opened[Symbol.asyncDispose]()
  await open()
}

const blobPath = (digest: Digest): string =>
  join(folder.path, 'blobs', algorithmOf(digest), hexOf(digest).slice(0, 2), hexOf(digest))

beforeEach(async () => {
  folder = await temporaryFolder()
  await open()
})

afterEach(async () => {
  await opened[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

describe('after a restart', () => {
  it('has what it had', async () => {
    const blob = await push(store, seededBytes(100_000))
    const manifest = await pushManifest(store, 'm', [blob])
    await reopen()
    expectBytes(await readBlob(store, blob), seededBytes(100_000))
    expect(await store.links.has(team, blob)).toBe(true)
    expect(await store.links.has(team, manifest)).toBe(true)
    expect(await store.manifests.get(manifest)).toBeDefined()
  })

  it.each(['sha256', 'sha512'] as const)(
    'goes on with an upload and proves all of it by %s',
    async (algorithm) => {
      const bytes = seededBytes(3_000_000)
      const { id } = await store.uploads.create(team, { algorithm: 'sha512' })
      await store.uploads.append(team, id, inChunks(bytes.slice(0, 1_234_567)))
      await reopen()
      expect(await store.uploads.find(team, id)).toEqual({ id, repository: team, offset: 1_234_567 })
      await store.uploads.append(team, id, inChunks(bytes.slice(1_234_567)), { offset: 1_234_567 })
      await store.uploads.finish(team, id, digestOf(bytes, algorithm))
      expectBytes(await readBlob(store, digestOf(bytes, algorithm)), bytes)
    },
  )

  it('keeps what had arrived of an append that it cut off by closing', async () => {
    const { id } = await store.uploads.create(team)
    const { body, taken, returned } = stalling(seededBytes(70_000))
    const append = store.uploads.append(team, id, body)
    const cutOff = expect(append).rejects.toThrow()
    await taken
    await reopen()
    await cutOff
    await returned
    expect(await store.uploads.find(team, id)).toMatchObject({ offset: 70_000 })
  })

  it('refuses an upload whose file changed meanwhile', async () => {
    const bytes = seededBytes(50_000)
    const { id } = await store.uploads.create(team)
    await store.uploads.append(team, id, inChunks(bytes))
    await opened[Symbol.asyncDispose]()
    await writeFile(join(folder.path, 'uploads', id), seededBytes(50_000, 2))
    await open()
    await expect(store.uploads.finish(team, id, digestOf(bytes))).rejects.toMatchObject({
      code: 'DIGEST_INVALID',
    })
    expect(await store.blobs.stat(digestOf(bytes))).toBeUndefined()
  })

  it('removes files that belong to no session, and keeps the others', async () => {
    const { id } = await store.uploads.create(team)
    await store.uploads.append(team, id, inChunks(seededBytes(10)))
    await opened[Symbol.asyncDispose]()
    await writeFile(join(folder.path, 'uploads', 'leftover'), 'x')
    await open()
    // Closing waits for the mending.
    await reopen()
    expect(await readdir(join(folder.path, 'uploads'))).toEqual([id])
  })

  it('commits a session that was killed between rename and commit', async () => {
    const blob = await push(store, seededBytes(1000))
    await store.links.remove(team, blob)
    const { id } = await store.uploads.create(team)
    await store.uploads.append(team, id, inChunks(seededBytes(1000)))
    await opened[Symbol.asyncDispose]()
    await using database = await openDatabase(folder.path)
    const tables = openTables(database)
    const row = await tables.sessions.get(id)
    if (row === undefined) throw new Error('the session has no row')
    await tables.sessions.put(id, { ...row, finishing: blob })
    await rm(join(folder.path, 'uploads', id))
    await database.close()
    await open()
    expect(await store.uploads.find(team, id)).toBeUndefined()
    expect(await store.links.has(team, blob)).toBe(true)
  })
})

describe('the files', () => {
  it('are readable by their owner alone', async () => {
    const blob = await push(store, seededBytes(10))
    const { id } = await store.uploads.create(team)
    await store.uploads.append(team, id, inChunks(seededBytes(100_000)))
    const mode = async (path: string): Promise<number> => (await stat(path)).mode & 0o777
    expect(await mode(blobPath(blob))).toBe(0o600)
    expect(await mode(join(folder.path, 'uploads', id))).toBe(0o600)
    for (const name of ['blobs', 'blobs/sha256', 'uploads', 'quarantine', 'db'])
      expect(await mode(join(folder.path, name))).toBe(0o700)
  })

  it('of uploads are gone once they are finished, cancelled or refused', async () => {
    await push(store, seededBytes(10))
    const cancelled = await store.uploads.create(team)
    await store.uploads.append(team, cancelled.id, inChunks(seededBytes(10)))
    await store.uploads.cancel(team, cancelled.id)
    await expect(store.blobs.write(digestOf(seededBytes(1)), inChunks(seededBytes(2)))).rejects.toThrow()
    expect(await readdir(join(folder.path, 'uploads'))).toEqual([])
  })

  it('of uploads are made with their first byte, and so are their rows', async () => {
    const { id } = await store.uploads.create(team)
    const { body, taken } = stalling(new Uint8Array())
    const cutOff = expect(store.uploads.append(team, id, body)).rejects.toMatchObject({ code: 'CLOSING' })
    await taken
    expect(await readdir(join(folder.path, 'uploads'))).toEqual([])
    await opened[Symbol.asyncDispose]()
    await cutOff
    await using database = await openDatabase(folder.path)
    expect(await listAll(openTables(database).sessions.keys())).toEqual([])
    await database.close()
    await open()
    expect(await store.uploads.find(team, id)).toBeUndefined()
  })

  it('of a blob are replaced when it is pushed again, so that a rotten one is healed', async () => {
    const blob = await push(store, seededBytes(10))
    await writeFile(blobPath(blob), seededBytes(10, 2))
    await push(store, seededBytes(10))
    expectBytes(await readBlob(store, blob), seededBytes(10))
  })
})

it('is opened once at a time', async () => {
  await expect(openDatabase(folder.path)).rejects.toMatchObject({ code: 'STORE_LOCKED' })
})

describe('verify', () => {
  it('quarantines a blob that rotted and keeps its links', async () => {
    const blob = await push(store, seededBytes(2_000_000))
    const good = await push(store, seededBytes(10))
    const rotten = seededBytes(2_000_000)
    rotten[1_500_000] = (rotten[1_500_000] ?? 0) ^ 1
    await writeFile(blobPath(blob), rotten)
    const report = await store.verify()
    expect(report).toMatchObject({ blobs: 2, corrupt: [{ digest: blob }] })
    expect(await store.blobs.stat(blob)).toBeUndefined()
    expect(await store.blobs.stat(good)).toEqual({ size: 10 })
    expect(await store.links.has(team, blob)).toBe(true)
    expectBytes(await readFile(report.corrupt[0]?.path ?? ''), rotten)
    expect(await store.verify()).toMatchObject({ blobs: 1, corrupt: [], unreadable: [] })
  })

  it('quarantines a blob that was cut short, and a reader notices by itself', async () => {
    const blob = await push(store, seededBytes(2_000_000))
    const reading = await store.blobs.open(blob)
    if (reading === undefined) throw new Error('not found')
    await using open = reading
    await writeFile(blobPath(blob), seededBytes(1_000_000))
    const read = async (): Promise<void> => {
      for await (const _ of open.chunks(0, open.size)) await chmod(blobPath(blob), 0o600)
    }
    await expect(read()).rejects.toMatchObject({ code: 'BLOB_TRUNCATED' })
    expect((await store.verify()).corrupt).toMatchObject([{ digest: blob }])
  })

  it('quarantines a manifest that rotted', async () => {
    const manifest = await pushManifest(store, 'm', [])
    await opened[Symbol.asyncDispose]()
    const database = await openDatabase(folder.path)
    const tables = openTables(database)
    await tables.manifests.put(manifest, seededBytes(10))
    await database.close()
    await open()
    const report = await store.verify()
    expect(report).toMatchObject({ manifests: 1, corrupt: [{ digest: manifest }] })
    expectBytes(await readFile(report.corrupt[0]?.path ?? ''), seededBytes(10))
    expect(await store.manifests.get(manifest)).toBeUndefined()
    expect(await store.links.has(team, manifest)).toBe(true)
  })

  it('stops when its signal aborts', async () => {
    await push(store, seededBytes(2_000_000))
    await push(store, seededBytes(10))
    const controller = new AbortController()
    const verify = store.verify({
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    })
    await expect(verify).rejects.toThrow('enough')
  })
})

it('replaces a thread that died, and its uploads go on from their files', async () => {
  const bytes = seededBytes(400_000)
  await opened[Symbol.asyncDispose]()
  const started: Worker[] = []
  const note = (worker: Worker): void => {
    started.push(worker)
  }
  process.on('worker', note)
  try {
    await open()
    const { id } = await store.uploads.create(team)
    await store.uploads.append(team, id, inChunks(bytes.slice(0, 100_000)))
    const { body, taken } = stalling(bytes.slice(100_000, 200_000))
    const append = store.uploads.append(team, id, body)
    const lost = expect(append).rejects.toThrow()
    await taken
    await started[0]?.terminate()
    const state = await store.uploads.find(team, id)
    expect(state?.offset).toBe(100_000)
    await store.uploads.append(team, id, inChunks(bytes.slice(100_000)), { offset: 100_000 })
    await lost
    await store.uploads.finish(team, id, digestOf(bytes))
    expect(started).toHaveLength(2)
  } finally {
    process.off('worker', note)
  }
})

it('stops writes, collections and verifications when it closes, and waits for them', async () => {
  await push(store, seededBytes(10))
  const { body, taken, returned } = stalling(seededBytes(10))
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<boolean>()
  const running = [
    store.blobs.write(digestOf(seededBytes(20)), body),
    store.collect({
      graceMs: 0,
      isLive: async () => {
        asked.resolve()
        return await answer.promise
      },
    }),
  ].map(async (work) => await expect(work).rejects.toMatchObject({ code: 'CLOSING' }))
  await Promise.all([taken, asked.promise])
  const closed = opened[Symbol.asyncDispose]()
  await returned
  answer.resolve(true)
  await closed
  await Promise.all(running)
  expect(await readdir(join(folder.path, 'uploads'))).toEqual([])
  await open()
})

it('keeps a lease of the last run', async () => {
  const blob = await push(store, seededBytes(10))
  await reopen()
  const isLive = async (): Promise<boolean> => false
  expect(await store.collect({ graceMs: 3_600_000, isLive })).toMatchObject({ links: 0, blobs: 0 })
  expect(await store.collect({ graceMs: 0, isLive })).toMatchObject({ links: 1, blobs: 1 })
  expect(linkKey(blob, team)).toContain(digestBytes(seededBytes(10)))
})
