import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FileStore, openDatabase, openStore } from '../../src/store/store.ts'
import {
  digestOf,
  expectBytes,
  inChunks,
  push,
  pushManifest,
  readBlob,
  seededBytes,
  team,
  temporaryFolder,
} from './scenery.ts'

const mountPoint = mkdtempSync(join(tmpdir(), 'shoal-small-disk-'))
const mounted =
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=700', 'tmpfs', mountPoint]).status === 0
const mib = 1024 * 1024

afterAll(() => {
  if (mounted) spawnSync('umount', [mountPoint])
  rmdirSync(mountPoint)
})

describe('on a disk of 16 MiB', {
  skip: !mounted,
  meta: { lacks: 'lacks the right to mount a tmpfs' },
}, () => {
  let stack: AsyncDisposableStack
  let folderPath: string
  let store: FileStore

  // The database lies elsewhere, so that the disk can be filled to the last byte.
  const open = async (minFreeBytes: number): Promise<void> => {
    stack = new AsyncDisposableStack()
    const folder = stack.use(await temporaryFolder())
    folderPath = folder.path
    const database = stack.adopt(await openDatabase(folder.path), (opened) => opened.close())
    store = stack.use(await openStore({ directory: mountPoint, database, minFreeBytes, workers: 1 }))
  }

  beforeEach(async () => {
    for (const name of ['blobs', 'uploads', 'quarantine', 'ballast'])
      await rm(join(mountPoint, name), { recursive: true, force: true })
  })

  afterEach(async () => {
    await stack.disposeAsync()
  })

  it('rolls an upload back to what was hashed, and it goes on when there is room', async () => {
    // Room that is not there: the disk is met by the write itself, as when others fill it a moment after it was looked at.
    await open(-16 * mib)
    const before = await push(store, seededBytes(1000))
    await writeFile(join(mountPoint, 'ballast'), new Uint8Array(6 * mib))
    const bytes = seededBytes(12 * mib)
    const { id } = await store.uploads.create(team)
    const filling = store.uploads.append(team, id, fillMeanwhile(bytes))
    await expect(filling).rejects.toMatchObject({ code: 'STORE_FULL' })
    const state = await store.uploads.find(team, id)
    const offset = state?.offset ?? 0
    expect(offset).toBeGreaterThan(0)
    expect(offset).toBeLessThan(12 * mib)
    expectBytes(await readBlob(store, before), seededBytes(1000))
    await rm(join(mountPoint, 'ballast'))
    await rm(join(mountPoint, 'more'), { force: true })
    await store.uploads.append(team, id, inChunks(bytes.slice(offset)), { offset })
    await store.uploads.finish(team, id, digestOf(bytes))
    expectBytes(await readBlob(store, digestOf(bytes)), bytes)
  })

  async function* fillMeanwhile(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    yield* inChunks(bytes.slice(0, 2 * mib))
    const { bavail, bsize } = await statfs(mountPoint)
    await writeFile(join(mountPoint, 'more'), new Uint8Array(Math.max(0, bavail * bsize - 3 * mib - 12_345)))
    yield* inChunks(bytes.slice(2 * mib))
  }

  it('keeps the reserve when others fill the disk between two pushes', async () => {
    await open(4 * mib)
    await push(store, seededBytes(1000))
    const { bavail, bsize } = await statfs(mountPoint)
    await writeFile(join(mountPoint, 'ballast'), new Uint8Array(bavail * bsize - mib))
    for (let seed = 2; seed < 32; seed++)
      await expect(push(store, seededBytes(1000, seed))).rejects.toMatchObject({ code: 'STORE_FULL' })
  })

  it('stops short of the reserve, in uploads, new sessions, copies of files, blobs from peers and manifests', async () => {
    const reserve = 4 * mib
    await open(reserve)
    const bytes = seededBytes(15 * mib)
    const full = { code: 'STORE_FULL' }
    const { id } = await store.uploads.create(team)
    await expect(store.uploads.append(team, id, inChunks(bytes))).rejects.toMatchObject(full)
    const { bavail, bsize } = await statfs(mountPoint)
    expect(bavail * bsize).toBeGreaterThanOrEqual(reserve)
    const offset = (await store.uploads.find(team, id))?.offset ?? 0
    expect(offset).toBeGreaterThan(8 * mib)
    const file = { path: join(folderPath, 'given'), size: bytes.length }
    await writeFile(file.path, bytes)
    await expect(store.copyFile(digestOf(bytes), file)).rejects.toMatchObject(full)
    await writeFile(join(mountPoint, 'ballast'), new Uint8Array(bavail * bsize - reserve + bsize))
    await expect(store.uploads.create(team)).rejects.toMatchObject(full)
    await expect(pushManifest(store, 'm', [])).rejects.toMatchObject(full)
    await expect(
      store.blobs.write(digestOf(seededBytes(10)), inChunks(seededBytes(10))),
    ).rejects.toMatchObject(full)
    await rm(join(mountPoint, 'ballast'))
    expect(await store.uploads.cancel(team, id)).toBe(true)
    await push(store, seededBytes(5 * mib))
  })
})
