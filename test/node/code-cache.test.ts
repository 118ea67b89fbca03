/** What is taken out of V8's compile cache, and what stays. */
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeEach, expect, it } from 'vitest'
import { openCodeCache, pruneCodeCache, pruneOnceADay } from '../../node/code-cache.ts'
import { silentLogger } from '../../src/base/base.ts'

const dayMs = 24 * 60 * 60 * 1000
const nowMs = 1000 * dayMs
const limits = { maxAgeMs: 30 * dayMs, maxBytes: 100, maxFiles: 100 }
const top = await mkdtemp(path.join(tmpdir(), 'shoal-code-cache-'))
let folder = ''

beforeEach(async () => {
  folder = path.join(await mkdtemp(path.join(top, 'home-')), 'shoal')
})

afterAll(() => rm(top, { recursive: true }))

/** Written long ago, and read so many days ago. */
async function put(name: string, days: number, bytes = 1): Promise<void> {
  const file = path.join(folder, name)
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, Buffer.alloc(bytes))
  await utimes(file, (nowMs - days * dayMs) / 1000, (nowMs - 900 * dayMs) / 1000)
}

const left = async (): Promise<string[]> => (await readdir(folder, { recursive: true })).sort()

it('forgets what nobody read for a month, and the folder of a Node that nobody runs any more', async () => {
  await put('v24.1.0-x64-aaaaaaaa-0/1a2b3c4d', 31)
  await put('v24.1.0-x64-aaaaaaaa-0/1a2b3c4d.Xy12Zz', 31)
  await put('v24.2.0-x64-bbbbbbbb-0/0000ffff', 31)
  await put('v24.2.0-x64-bbbbbbbb-0/ffff0000', 29)
  expect(await pruneCodeCache(folder, { limits, nowMs })).toBe(3)
  expect(await left()).toEqual(['v24.2.0-x64-bbbbbbbb-0', 'v24.2.0-x64-bbbbbbbb-0/ffff0000'])
})

it('holds so many bytes, of all versions together, and those that were read last', async () => {
  await put('v24.1.0-x64-aaaaaaaa-0/00000001', 3, 40)
  await put('v24.2.0-x64-bbbbbbbb-0/00000002', 1, 40)
  await put('v24.2.0-x64-bbbbbbbb-0/00000003', 2, 40)
  expect(await pruneCodeCache(folder, { limits, nowMs })).toBe(1)
  expect(await left()).not.toContain('v24.1.0-x64-aaaaaaaa-0/00000001')
})

it('touches nothing that Node would not have put there', async () => {
  await put('v24.1.0-x64-aaaaaaaa-0/notes.txt', 400)
  await put('other/1a2b3c4d', 400)
  await put('1a2b3c4d', 400)
  expect(await pruneCodeCache(folder, { limits, nowMs })).toBe(0)
})

it('looks at so many files only, and has nothing to do where there is no cache', async () => {
  expect(await pruneCodeCache(folder, { limits, nowMs })).toBe(0)
  for (const number of [1, 2, 3]) await put(`v24.1.0-x64-aaaaaaaa-0/0000000${number}`, 400)
  expect(await pruneCodeCache(folder, { limits: { ...limits, maxFiles: 2 }, nowMs })).toBe(2)
})

it('wakes threads and the event loop once for many files, not for each', async () => {
  const count = 512
  await Promise.all(
    Array.from({ length: count }, (_, number) => put(`v24.1.0-x64-aaaaaaaa-0/${number.toString(16)}`, 400)),
  )
  const before = process.resourceUsage().voluntaryContextSwitches
  expect(await pruneCodeCache(folder, { limits: { ...limits, maxFiles: count }, nowMs })).toBe(count)
  expect(process.resourceUsage().voluntaryContextSwitches - before).toBeLessThan(count)
})

it('looks once a day into a cache that several nodes share', async () => {
  const startedAfter = async (days: number): Promise<number> => {
    await put('v24.1.0-x64-aaaaaaaa-0/00000001', 400)
    return await pruneOnceADay(folder, { limits, nowMs: nowMs + days * dayMs })
  }
  expect([await startedAfter(0), await startedAfter(0), await startedAfter(0.9)]).toEqual([1, 0, 0])
  expect(await startedAfter(1.1)).toBe(1)
})

it.each([
  ['shoal', 1],
  ['of-other-programs', 0],
])('clears the cache of a node that started, and none that is not its own: %s', async (name, cleared) => {
  folder = path.join(path.dirname(folder), name)
  const directory = path.join(folder, 'v24.1.0-x64-aaaaaaaa-0')
  await put('v24.1.0-x64-aaaaaaaa-0/00000001', 400)
  const slept = Promise.withResolvers<void>()
  let sleeps = 0
  const sleep = () => {
    sleeps += 1
    return slept.promise
  }
  await using _cache = openCodeCache(directory, { clock: { now: () => nowMs, sleep }, logger: silentLogger })
  expect(await readdir(directory)).toHaveLength(1)
  expect(sleeps).toBe(cleared)
  slept.resolve()
  await expect.poll(async () => (await left()).length).toBe(2 - cleared)
})
