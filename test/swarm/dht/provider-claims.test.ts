import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { boundClaims, type ClaimLimits } from '../../../src/swarm/dht/provider-claims.ts'
import { openHostileMember } from '../../hostile/member.ts'
import { MemoryDatabase } from '../../hostile/memory-database.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'
import { newCluster, startSwarm } from '../fixture.ts'

const value = Uint8Array.of(1)
const limits: ClaimLimits = { total: 100, burst: 1000, perSecond: 1000 }
const claimOf = (peer: string, n: number): string => `/dht/provider/c${n}/${peer}`

async function open(limits: ClaimLimits) {
  const clock = new SteppedClock()
  const database = new MemoryDatabase()
  const claims = boundClaims(database, { self: 'self', clock, limits })
  const kept = async (): Promise<string[]> => {
    const entries = await Array.fromAsync(database.iterator({ gte: '/dht/provider/', lt: '/dht/provider0' }))
    return entries.map(([key]) => key)
  }
  return { claims, clock, kept }
}

test('claims of others are kept up to a number in all, half of it for who claims less than the others', async () => {
  const { claims, kept } = await open(limits)
  for (let n = 0; n < 500; n++) await claims.put(claimOf('greedy', n), value)
  const before = (await kept()).length
  expect(before).toBeLessThan(100)
  for (let n = 0; n < 20; n++) await claims.put(claimOf('modest', n), value)
  expect((await kept()).filter((key) => key.endsWith('/modest'))).toHaveLength(20)
  for (let n = 0; n < 200; n++) await claims.put(claimOf('self', n), value)
  expect((await kept()).filter((key) => key.endsWith('/self'))).toHaveLength(200)
})

test('what was there before counts, and what goes makes room', async () => {
  const clock = new SteppedClock()
  const database = new MemoryDatabase()
  for (let n = 0; n < 60; n++) await database.put(claimOf('one', n), value)
  const claims = boundClaims(database, { self: 'self', clock, limits })
  await claims.count(new AbortController().signal)
  for (const peer of ['two', 'three']) {
    for (let n = 0; n < 60; n++) await claims.put(claimOf(peer, n), value)
  }
  expect(await database.get(claimOf('two', 0))).toBeDefined()
  expect(await database.get(claimOf('three', 59))).toBeUndefined()
  for (let n = 0; n < 60; n++) await claims.del(claimOf('one', n))
  await claims.put(claimOf('three', 59), value)
  expect(await database.get(claimOf('three', 59))).toBeDefined()
})

test('who claims faster than may be is made to wait, and its claim dropped', async () => {
  const { claims, clock, kept } = await open({ total: 1000, burst: 12, perSecond: 1 })
  // An eighth of the burst is for those that claim less.
  for (let n = 0; n < 11; n++) await claims.put(claimOf('hasty', n), value)
  const last = claims.put(claimOf('hasty', 11), value)
  await clock.pass(250)
  await last
  expect(await kept()).toHaveLength(11)
  await claims.put(claimOf('modest', 0), value)
  expect(await kept()).toHaveLength(12)
  clock.advance(8000)
  await claims.put(claimOf('hasty', 12), value)
  expect(await kept()).toHaveLength(13)
})

test('no more than the total is kept, whoever claims and whatever is counted beforehand', async () => {
  const step = fc.record({ peer: fc.nat(30).map(String), n: fc.nat(400), gone: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 400 }), async (steps) => {
      const { claims, kept } = await open(limits)
      const counted = new Set<string>()
      for (const { peer, n, gone } of steps) {
        const key = claimOf(peer, n)
        if (!gone) await claims.put(key, value)
        else if (counted.has(key)) await claims.del(key)
        counted.clear()
        for (const one of await kept()) counted.add(one)
        expect(counted.size).toBeLessThanOrEqual(limits.total)
      }
    }),
    { numRuns: 30 },
  )
})

test('a member that claims to hold what nobody has fills no more than its part of that', async () => {
  await using stack = new AsyncDisposableStack()
  const cluster = await newCluster(stack)
  const database = new MemoryDatabase()
  const near = await startSwarm(stack, { cluster, database, claimLimits: { total: 100 } })
  for (const most of [50, 76]) {
    const hostile = await openHostileMember(stack, { cluster })
    const peer = await hostile.dial(near.address)
    await hostile.claimToHold(
      peer,
      Array.from({ length: 200 }, () => randomBytes(32)),
    )
    const kept = await Array.fromAsync(database.iterator({ gte: '/dht/provider/', lt: '/dht/provider0' }))
    expect(kept.length).toBeGreaterThan(0)
    expect(kept.length).toBeLessThanOrEqual(most)
  }
})
