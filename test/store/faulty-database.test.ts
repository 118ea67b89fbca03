import { Level } from 'level'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { noMetrics, silentLogger, steadyClock } from '../../src/base/base.ts'
import { type Database, openDatabase, openStore, type Store } from '../../src/store/store.ts'
import {
  digestOf,
  expectBytes,
  graceMs,
  type HandClock,
  handClock,
  inChunks,
  push,
  pushManifest,
  readBlob,
  seededBytes,
  team,
  temporaryFolder,
} from './scenery.ts'

const engine = Level.prototype as unknown as { _batch(operations: object[]): Promise<void> }
const full = { code: 'STORE_FULL' }
let stack: AsyncDisposableStack
let store: Store
let database: Database
let clock: HandClock
let openedAgain: PromiseWithResolvers<void>

/** Opened again as soon as there are so many bytes free. */
async function open(reopenBytes: number): Promise<void> {
  stack = new AsyncDisposableStack()
  clock = handClock()
  openedAgain = Promise.withResolvers()
  const { path } = stack.use(await temporaryFolder())
  const info = (_: object, message: string): void => {
    if (message === 'the database was opened again and takes writes') openedAgain.resolve()
  }
  const logger = { ...silentLogger, info }
  database = await openDatabase(path, { logger, metrics: noMetrics, clock: steadyClock, reopenBytes })
  stack.adopt(database, (opened) => opened.close())
  store = stack.use(
    await openStore({ directory: path, database, minFreeBytes: 0, graceMs, workers: 1, clock }),
  )
}

afterEach(async () => {
  vi.restoreAllMocks()
  await stack.disposeAsync()
})

const noSpace = (): Error => new Error('IO error: 000003.log: No space left on device')

async function fillDatabase(): Promise<void> {
  vi.spyOn(engine, '_batch').mockRejectedValueOnce(noSpace())
  await expect(database.put('any', 'write')).rejects.toMatchObject(full)
}

it('forgets links that it read of a write that failed and was undone', async () => {
  await open(0)
  const blob = await push(store, seededBytes(1000))
  const other = digestOf(seededBytes(2000))
  expect(await store.links.has(team, blob)).toBe(true)
  const write = engine._batch
  let lost: Parameters<typeof write> = [[]]
  const seen: boolean[] = []
  vi.spyOn(engine, '_batch')
    .mockImplementationOnce(async (...given) => {
      lost = given
      throw noSpace()
    })
    .mockImplementationOnce(async function (this: typeof engine, ...undoing) {
      // It had come into the log, and is found there.
      await write.apply(this, lost)
      seen.push(await store.links.has(team, other))
      await write.apply(this, undoing)
    })
  await expect(store.links.add(team, [other])).rejects.toMatchObject(full)
  await openedAgain.promise
  expect([...seen, await store.links.has(team, other)]).toEqual([true, false])
  expect(await store.links.has(team, blob)).toBe(true)
})

describe('while the database cannot be written', () => {
  beforeEach(() => open(Number.MAX_SAFE_INTEGER))

  it('serves what is here, also past its lease', async () => {
    const blob = await push(store, seededBytes(1000))
    const manifest = await pushManifest(store, 'm', [blob])
    clock.advance(graceMs)
    await fillDatabase()
    expect(await store.links.has(team, blob)).toBe(true)
    expectBytes(await readBlob(store, blob), seededBytes(1000))
    expect(await store.manifests.get(manifest)).toBeDefined()
  })

  it('refuses what would have to be kept', async () => {
    const blob = await push(store, seededBytes(1000))
    await fillDatabase()
    await expect(store.links.add(team, [blob])).rejects.toMatchObject(full)
    await expect(pushManifest(store, 'm', [blob])).rejects.toMatchObject(full)
    await expect(push(store, seededBytes(10))).rejects.toMatchObject(full)
    await expect(store.manifests.remove(team, blob, async () => false)).rejects.toMatchObject(full)
  })

  it('frees blobs that nothing refers to', async () => {
    const bytes = seededBytes(1000)
    const unlinked = digestOf(bytes)
    await store.blobs.write(unlinked, inChunks(bytes))
    await fillDatabase()
    clock.advance(2 * graceMs)
    const report = await store.collect({ isLive: async () => true, graceMs })
    expect(report).toMatchObject({ blobs: 1, bytes: 1000 })
    expect(await store.blobs.stat(unlinked)).toBeUndefined()
  })
})

it('keeps an upload that could not be finished for want of room', async () => {
  await open(0)
  const bytes = seededBytes(100_000)
  const { id } = await store.uploads.create(team)
  await store.uploads.append(team, id, inChunks(bytes))
  vi.spyOn(engine, '_batch').mockRejectedValueOnce(noSpace())
  await expect(store.uploads.finish(team, id, digestOf(bytes))).rejects.toMatchObject(full)
  await openedAgain.promise
  expect(await store.uploads.find(team, id)).toMatchObject({ offset: bytes.length })
  await store.uploads.finish(team, id, digestOf(bytes))
  expectBytes(await readBlob(store, digestOf(bytes)), bytes)
})
