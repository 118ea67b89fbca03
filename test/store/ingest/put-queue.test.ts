/** Small files that are put together. */
import { expect, it } from 'vitest'
import { PutQueue } from '../../../src/store/ingest/put-queue.ts'
import type { PutOutcome, WholeFile } from '../../../src/store/ingest/whole-files.ts'

interface Call {
  paths: string[]
  answer: PromiseWithResolvers<PutOutcome[]>
}

function openQueue(): { queue: PutQueue; calls: Call[] } {
  const calls: Call[] = []
  const queue = new PutQueue((files) => {
    const answer = Promise.withResolvers<PutOutcome[]>()
    calls.push({ paths: files.map(({ path }) => path), answer })
    return answer.promise
  })
  return { queue, calls }
}

const file = (path: string): WholeFile => ({ path, target: `to-${path}`, bytes: Buffer.of(), timeMs: 0 })
const put = (replacedBytes: number): PutOutcome => ({ replacedBytes })

it('puts one that comes alone at once, and together those that come meanwhile', async () => {
  const { queue, calls } = openQueue()
  const first = queue.put(file('a'))
  const rest = ['b', 'c'].map((name) => queue.put(file(name)))
  expect(calls.map(({ paths }) => paths)).toEqual([['a']])
  calls[0]?.answer.resolve([put(1)])
  expect(await first).toBe(1)
  expect(calls.map(({ paths }) => paths)).toEqual([['a'], ['b', 'c']])
  calls[1]?.answer.resolve([put(2), put(3)])
  expect(await Promise.all(rest)).toEqual([2, 3])
})

it('tells a failure to whose it is, and that of a call to all of it, and goes on', async () => {
  const { queue, calls } = openQueue()
  const first = queue.put(file('a'))
  const [wrong, right] = [queue.put(file('b')), queue.put(file('c'))]
  calls[0]?.answer.reject(new Error('the thread is gone'))
  await expect(first).rejects.toThrow('the thread is gone')
  calls[1]?.answer.resolve([{ error: { message: 'full', code: 'ENOSPC' } }, put(0)])
  await expect(wrong).rejects.toMatchObject({ code: 'ENOSPC' })
  expect(await right).toBe(0)
})

it('puts no more than 64 in one call', async () => {
  const { queue, calls } = openQueue()
  const all = Array.from({ length: 101 }, (_, index) => queue.put(file(String(index))))
  for (let call = 0; call < 3; call++) {
    calls[call]?.answer.resolve(calls[call]?.paths.map(() => put(0)) ?? [])
    await all[[0, 64, 100][call] ?? 0]
  }
  expect(calls.map(({ paths }) => paths.length)).toEqual([1, 64, 36])
})
