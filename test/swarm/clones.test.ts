import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLogger, wallClock } from '../../src/base/base.ts'
import { createClones } from '../../src/swarm/clones.ts'
import { openIdentity } from '../../src/swarm/swarm.ts'
import { MalformedError } from '../../src/wire/wire.ts'
import { newCluster, startSwarm, temporaryFolder, until } from './fixture.ts'

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
})

const minute = 60_000

/** Processes of one identity, and one of another, under a clock that the test sets. */
async function scene() {
  const time = { now: 1_000_000_000_000 }
  const clock = { now: () => time.now, sleep: wallClock.sleep }
  const folder = await temporaryFolder(stack)
  const [identity, other] = [await openIdentity(folder), await openIdentity(await temporaryFolder(stack))]
  const start = (who = identity) => createClones({ identity: who, wall: clock, clock, logger: silentLogger })
  return { time, start, peer: identity.peerId, other }
}

describe('two processes with one identity', () => {
  test('each learns of the other from a member that talks to both', async () => {
    const { time, start, peer, other } = await scene()
    const [a, b, member] = [start(), start(), start(other)]
    time.now += 2 * minute
    expect(member.heard(peer, a.statement())).toBeUndefined()
    const toldToB = member.heard(peer, b.statement())
    const toldToA = member.heard(peer, a.statement())
    await b.told('member', toldToB ?? new Uint8Array())
    await a.told('member', toldToA ?? new Uint8Array())
    expect([a.isCloned(), b.isCloned()]).toEqual([true, true])
  })

  test('are forgotten when one of them is gone', async () => {
    const { time, start, peer, other } = await scene()
    const [a, b, member] = [start(), start(), start(other)]
    time.now += 2 * minute
    member.heard(peer, b.statement())
    await a.told('member', member.heard(peer, a.statement()) ?? new Uint8Array())
    time.now += 5 * minute
    expect(a.isCloned()).toBe(false)
    expect(member.heard(peer, a.statement())).toBeUndefined()
  })
})

test('a restart is no clone', async () => {
  const { time, start, peer, other } = await scene()
  const [before, member] = [start(), start(other)]
  member.heard(peer, before.statement())
  time.now += minute / 2
  const after = start()
  const rival = member.heard(peer, after.statement())
  expect(rival).toBeDefined()
  time.now += 2 * minute
  await after.told('member', rival ?? new Uint8Array())
  expect(after.isCloned()).toBe(false)
})

test('no member makes a clone up', async () => {
  const { time, start, other } = await scene()
  const [a, sibling, liar] = [start(), start(), start(other)]
  const early = sibling.statement()
  time.now += 2 * minute
  const forged = sibling.statement()
  forged[40] = (forged[40] ?? 0) ^ 1
  const truncated = sibling.statement().subarray(0, 90)
  for (const said of [early, forged, truncated, a.statement(), liar.statement()]) await a.told('liar', said)
  expect(a.isCloned()).toBe(false)
  expect(() => a.heard('liar', truncated)).toThrow(MalformedError)
})

test('a member tells a copied host of the one that it was copied from', async () => {
  const cluster = await newCluster(stack)
  const folder = await temporaryFolder(stack)
  const identity = await openIdentity(folder)
  // What the second process signs is later than the first one's start by more than clocks are trusted to agree.
  const later = { now: () => Date.now() + 2 * minute, sleep: wallClock.sleep }
  const member = await startSwarm(stack, { cluster })
  const bootstrap = [member.address]
  const original = await startSwarm(stack, { cluster, bootstrap, identity })
  await until('the first one is a member', () => member.swarm.members.list().some(({ agent }) => agent))
  await startSwarm(stack, { cluster, bootstrap, identity, wall: later })
  await until('the first one is told', () => {
    original.swarm.members.tell()
    return original.swarm.isCloned()
  })
})
