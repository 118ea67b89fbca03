import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  type Folder,
  handClock,
  inChunks,
  type Opened,
  openAt,
  push,
  seededBytes,
  team,
  temporaryFolder,
} from '../scenery.ts'

const hourMs = 3_600_000
const yearMs = 365 * 24 * hourMs
const isLive = async (): Promise<boolean> => false

let folder: Folder
let opened: Opened | undefined
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(async () => {
  await opened?.[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** A run of its own that starts with its clock so far off. */
async function start(offMs: number) {
  await opened?.[Symbol.asyncDispose]()
  const clock = handClock()
  clock.advance(offMs)
  opened = await openAt(folder.path, { clock, graceMs: hourMs })
  return { clock, store: opened.store }
}

it.each([
  ['years ahead', 10 * yearMs],
  ['years behind', -10 * yearMs],
])('a run that starts with its clock %s finds nothing older than it was', async (_, offMs) => {
  const first = await start(0)
  await push(first.store, seededBytes(10))
  const { id } = await first.store.uploads.create(team)
  await first.store.uploads.append(team, id, inChunks(seededBytes(5)))
  first.clock.advance(hourMs - 2)
  const second = await start(offMs)
  expect(await second.store.collect({ graceMs: hourMs, isLive })).toMatchObject({ links: 0, blobs: 0 })
  expect(await second.store.uploads.expire(hourMs)).toBe(0)
  expect(await second.store.uploads.find(team, id)).toBeDefined()
  second.clock.advance(2)
  expect(await second.store.collect({ graceMs: hourMs, isLive })).toMatchObject({ links: 1, blobs: 1 })
})

it('time goes on over runs, and not between them', async () => {
  await push((await start(0)).store, seededBytes(10))
  for (let run = 0; run < 4; run++) {
    const { clock, store } = await start(run * yearMs)
    expect(await store.collect({ graceMs: hourMs, isLive })).toMatchObject({ blobs: 0 })
    clock.advance(hourMs / 4)
  }
  expect(await (await start(0)).store.collect({ graceMs: hourMs, isLive })).toMatchObject({ blobs: 1 })
})
