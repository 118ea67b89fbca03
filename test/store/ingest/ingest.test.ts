/** How much memory uploads hold on their way to a disk that is slower than they are. */
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { DiskSpace } from '../../../src/store/files/disk-space.ts'
import { Ingest } from '../../../src/store/ingest/ingest.ts'
import { IngestBudget } from '../../../src/store/ingest/ingest-budget.ts'
import type { IngestThread } from '../../../src/store/ingest/ingest-pool.ts'

const mib = 1024 * 1024
const space = new DiskSpace('/', 0, { usage: async () => ({ freeBytes: 2 ** 40 }) })
/** As behind a disk that stands still: nothing is ever written. */
const stuck = { isLost: false, call: () => new Promise(() => undefined) } as unknown as IngestThread

/** What each takes until it lets nobody give it more, in all. */
async function taken(uploads: number, chunkBytes: number): Promise<number> {
  const budget = new IngestBudget()
  const ingests = Array.from({ length: uploads }, (_, file) => {
    return new Ingest({ thread: stuck, file, offset: 0, space, budget, onClosed: () => undefined })
  })
  for (const ingest of ingests) ingest.begin()
  const filling = ingests.map(async (ingest) => {
    for (let isFull = false; !isFull; ) {
      isFull = true
      const adding = Promise.resolve(ingest.add(new Uint8Array(chunkBytes), false)).then(() => {
        isFull = false
      })
      adding.catch(() => undefined)
      await setImmediate()
      await setImmediate()
    }
  })
  await Promise.all(filling)
  return ingests.reduce((sum, { accepted }) => sum + accepted, 0)
}

it('one upload may be far ahead of the disk', async () => {
  expect(await taken(1, 64 * 1024)).toBeGreaterThanOrEqual(8 * mib)
})

it('uploads share the memory, however many there are', async () => {
  for (const uploads of [1, 10, 100]) expect(await taken(uploads, 64 * 1024)).toBeLessThanOrEqual(40 * mib)
  // Of so many each has a batch, and no more.
  expect(await taken(1000, 16 * 1024)).toBeLessThanOrEqual(1000 * 64 * 1024)
})

it.each([
  ['of HTTP chunks that end just before or behind what was read at once', [60 * 1024, 1024]],
  ['small between large', [16 * 1024, 1]],
  ['that are all small', [1460]],
  ['of a byte each', [1]],
])('moves bodies to the thread in few buffers that are full: pieces %s', async (_, sizes) => {
  const moved: ArrayBuffer[] = []
  const call = async (_request: unknown, buffers: ArrayBuffer[] = []) => {
    moved.push(...buffers)
    return { offset: 0 }
  }
  const thread = { isLost: false, call } as unknown as IngestThread
  const budget = new IngestBudget()
  const ingest = new Ingest({ thread, file: 0, offset: 0, space, budget, onClosed: () => undefined })
  ingest.begin()
  const bytes = sizes.length * Math.min(mib, (sizes[0] ?? 0) * 10_000)
  for (let piece = 0; ingest.accepted < bytes; piece++)
    await ingest.add(new Uint8Array(sizes[piece % sizes.length] ?? 0), true)
  const accepted = ingest.accepted
  await ingest.end()
  const memory = moved.reduce((sum, { byteLength }) => sum + byteLength, 0)
  expect(memory / accepted).toBeLessThan(1.5)
  expect(moved.length).toBeLessThanOrEqual(8 + (2.5 * accepted) / (16 * 1024))
})

it('frees the memory of pieces that it was given and copied, and of no others', async () => {
  const thread = { isLost: false, call: async () => ({ offset: 0 }) } as unknown as IngestThread
  const budget = new IngestBudget()
  const ingest = new Ingest({ thread, file: 0, offset: 0, space, budget, onClosed: () => undefined })
  ingest.begin()
  const [given, lent, shared] = [60_000, 60_000, 60_000].map((bytes) => new Uint8Array(bytes))
  await ingest.add(given ?? new Uint8Array(), true)
  await ingest.add(lent ?? new Uint8Array(), false)
  await ingest.add(shared?.subarray(1) ?? new Uint8Array(), true)
  expect([given, lent, shared].map((piece) => piece?.length)).toEqual([0, 60_000, 60_000])
  expect(ingest.accepted).toBe(179_999)
  await ingest.end()
})
