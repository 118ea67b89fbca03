import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { parseRepository } from '../../src/oci/oci.ts'
import type { Ledger } from '../../src/records/records.ts'
import {
  ManualClock,
  manifestChange,
  manifestDeletion,
  type TestLedger,
  tagChange,
  testLedger,
} from './fixture.ts'

const app = parseRepository('team/app')
const clock = new ManualClock()

let db: Level
let node: TestLedger
let ledger: Ledger
beforeEach(async () => {
  db = new Level(await mkdtemp(join(tmpdir(), 'shoal-tag-counts-')))
  await db.open()
  node = await testLedger({ db, clock })
  ledger = node.ledger
})
afterEach(async () => {
  await node[Symbol.asyncDispose]()
  await db.close()
  await rm(db.location, { recursive: true })
})

/** How many ranges and single rows are asked of the database for it. */
async function readsOf(work: () => Promise<unknown>): Promise<number> {
  const spies = [vi.spyOn(db, 'iterator'), vi.spyOn(db, 'hasMany'), vi.spyOn(db, 'getSync')]
  await work()
  const reads = spies.reduce((sum, { mock }) => sum + mock.calls.length, 0)
  for (const spy of spies) spy.mockRestore()
  return reads
}

const image = (tag: string, content = tag) => [
  manifestChange('team/app', content),
  tagChange('team/app', tag, content),
]

it('counts the tags that a list of them has, whatever stands, goes and comes', async () => {
  const steps = [
    [],
    [...image('v1'), ...image('v2'), tagChange('team/app', 'v3', 'v1'), ...image('other', 'v1')],
    // Its manifest has yet to arrive, so it stands.
    [tagChange('team/app', 'waiting', 'not here')],
    // Three tags go along.
    [manifestDeletion('team/app', 'v1')],
    [tagChange('team/app', 'v2', undefined)],
    image('v1'),
  ]
  const counts: number[] = []
  for (const step of steps) {
    if (step.length > 0) await ledger.publish(step)
    const { tags, isMore } = await ledger.countTags(app)
    expect({ tags, isMore }).toEqual({
      tags: (await ledger.listTags(app, { limit: 2000 })).length,
      isMore: false,
    })
    counts.push(tags)
  }
  expect(counts.slice(0, 5)).toEqual([0, 4, 5, 2, 1])
})

it('reads no row of a repository twice while none of its records changes', async () => {
  await ledger.publish(image('v1'))
  expect(await readsOf(() => ledger.countTags(app))).toBeGreaterThan(0)
  await ledger.publish([
    ...image('v1').map((change) => ({ ...change, repository: parseRepository('team/b') })),
  ])
  expect(await readsOf(() => ledger.countTags(app))).toBe(0)
  await ledger.publish(image('v2'))
  expect(await ledger.countTags(app)).toEqual({ tags: 2, isMore: false })
})

it('counts again after an hour: tags that wait for a manifest go with time alone', async () => {
  await ledger.publish([tagChange('team/app', 'v1', 'not here')])
  expect((await ledger.countTags(app)).tags).toBe(1)
  clock.ms += 31 * 24 * 60 * 60_000
  expect((await ledger.countTags(app)).tags).toBe(0)
})

it('counts up to a thousand, and says that there are more', async () => {
  const tags = Array.from({ length: 1002 }, (_, index) => tagChange('team/app', `v${index}`, 'm'))
  await ledger.publish([manifestChange('team/app', 'm'), ...tags])
  expect(await ledger.countTags(app)).toEqual({ tags: 1000, isMore: true })
})

it('finds the manifests of few tags among many', async () => {
  const many = Array.from({ length: 50 }, (_, index) => manifestChange('team/app', `m${index}`))
  await ledger.publish([...many, ...['m0', 'm17', 'm49'].map((name) => tagChange('team/app', name, name))])
  expect((await ledger.countTags(app)).tags).toBe(3)
  await ledger.publish([manifestDeletion('team/app', 'm17')])
  expect((await ledger.countTags(app)).tags).toBe(2)
})
