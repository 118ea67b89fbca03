/** Small uploads, which are in memory alone until they are finished. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Store } from '../../../src/store/store.ts'
import {
  digestOf,
  expectBytes,
  type Folder,
  inChunks,
  type Opened,
  openAt,
  readBlob,
  seededBytes,
  team,
  temporaryFolder,
} from '../scenery.ts'

/** As much as one may hold, and as many as fill the memory of all. */
const largest = 64 * 1024
const fill = 128

let folder: Folder
let opened: Opened
let store: Store

beforeEach(async () => {
  folder = await temporaryFolder()
  opened = await openAt(folder.path, { maxSessions: 1000 })
  store = opened.store
})

afterEach(async () => {
  await opened[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

const files = (): Promise<string[]> => readdir(join(folder.path, 'uploads'))

/** Resolves to the session's id. */
async function begin(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const { id } = await store.uploads.create(team)
  await store.uploads.append(team, id, inChunks(bytes))
  return id
}

it('has no file until it is finished, in as many parts as it comes', async () => {
  const bytes = seededBytes(5000)
  const id = await begin(bytes.slice(0, 3000))
  const part = inChunks(bytes.slice(3000))
  expect((await store.uploads.append(team, id, part, { offset: 3000 })).offset).toBe(5000)
  expect((await store.uploads.find(team, id))?.offset).toBe(5000)
  expect(await files()).toEqual([])
  expect(await store.uploads.finish(team, id, digestOf(bytes))).toEqual({ size: 5000 })
  expectBytes(await readBlob(store, digestOf(bytes)), bytes)
  expect(await store.links.has(team, digestOf(bytes))).toBe(true)
  expect(await store.uploads.find(team, id)).toBeUndefined()
})

it('gets a file with all of its bytes once it is large', async () => {
  const bytes = seededBytes(2 * largest)
  const id = await begin(bytes.slice(0, largest))
  expect(await files()).toEqual([])
  await store.uploads.append(team, id, inChunks(bytes.slice(largest)))
  expect(await files()).toEqual([id])
  await store.uploads.finish(team, id, digestOf(bytes))
  expectBytes(await readBlob(store, digestOf(bytes)), bytes)
})

it('goes to the disk when the store is closed, and is gone on with by the next', async () => {
  const bytes = seededBytes(5000)
  const id = await begin(bytes.slice(0, 3000))
  await opened[Symbol.asyncDispose]()
  opened = await openAt(folder.path)
  store = opened.store
  expect((await store.uploads.find(team, id))?.offset).toBe(3000)
  await store.uploads.append(team, id, inChunks(bytes.slice(3000)))
  await store.uploads.finish(team, id, digestOf(bytes))
  expectBytes(await readBlob(store, digestOf(bytes)), bytes)
})

it('makes room for those that come, the longest resting first, and is finished all the same', async () => {
  const bytes = seededBytes(largest)
  const ids: string[] = []
  for (let count = 0; count < fill; count++) ids.push(await begin(bytes))
  expect(await files()).toEqual([])
  const another = await begin(bytes)
  expect(await files()).toEqual([ids[0]])
  for (const id of [ids[0], ids[1], another])
    expect(await store.uploads.finish(team, id ?? '', digestOf(bytes))).toEqual({ size: largest })
})

it('gives its memory back, however it ends', async () => {
  const bytes = seededBytes(largest)
  const [wrong, cancelled, finished] = [await begin(bytes), await begin(bytes), await begin(bytes)]
  await expect(store.uploads.finish(team, wrong, digestOf(seededBytes(1)))).rejects.toThrow()
  await store.uploads.cancel(team, cancelled)
  await store.uploads.finish(team, finished, digestOf(bytes))
  for (let count = 0; count < fill; count++) await begin(bytes)
  expect(await files()).toEqual([])
})
