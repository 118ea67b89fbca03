import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLogger, steadyClock } from '../../../src/base/base.ts'
import { type Clones, createClones } from '../../../src/swarm/members/clones.ts'
import { openIdentity } from '../../../src/swarm/swarm.ts'
import { MalformedError } from '../../../src/wire/wire.ts'
import { newCluster, startSwarm, temporaryFolder, until } from '../fixture.ts'

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
})

const minute = 60_000

/** Processes of one identity, and one of another that talks to them, under a clock that the test sets. */
async function scene() {
  const time = { now: 1_000_000 }
  const clock = { now: () => time.now, sleep: steadyClock.sleep }
  const identity = await openIdentity(await temporaryFolder(stack))
  const other = await openIdentity(await temporaryFolder(stack))
  const start = (who = identity) => createClones({ identity: who, clock, logger: silentLogger })
  const member = start(other)
  /** The process tells the member that it runs, and hears what the member has to pass on. */
  const meet = async (process: Clones): Promise<Uint8Array | undefined> => {
    const rival = member.heard(identity.peerId, process.statement())
    if (rival !== undefined) await process.told(other.peerId, rival)
    return rival
  }
  return { time, start, meet, other }
}

describe('two processes with one identity', () => {
  test('each learns of the other from a member that talks to both', async () => {
    const { start, meet } = await scene()
    const [a, b] = [start(), start()]
    for (const process of [a, b, a, b, a, b]) await meet(process)
    expect([a.isCloned(), b.isCloned()]).toEqual([true, true])
  })

  test('are forgotten when one of them is gone, whatever is said again of it', async () => {
    const { time, start, meet } = await scene()
    const [a, b] = [start(), start()]
    for (const process of [a, b, a, b]) await meet(process)
    const last = await meet(a)
    expect(a.isCloned()).toBe(true)
    time.now += 5 * minute
    expect(await meet(a)).toBeUndefined()
    await a.told('liar', last ?? new Uint8Array())
    expect(a.isCloned()).toBe(false)
  })
})

test('a restart is no clone, whatever its clock said before', async () => {
  const { start, meet } = await scene()
  const [before, after] = [start(), start()]
  for (const process of [before, before, after]) await meet(process)
  for (let i = 0; i < 5; i++) expect(await meet(after)).toBeDefined()
  expect(after.isCloned()).toBe(false)
})

test('no member makes a clone up', async () => {
  const { start, meet, other } = await scene()
  const [a, sibling, liar] = [start(), start(), start(other)]
  for (const process of [a, sibling]) await meet(process)
  const forged = sibling.statement()
  forged[40] = (forged[40] ?? 0) ^ 1
  const truncated = sibling.statement().subarray(0, 90)
  for (const said of [forged, truncated, a.statement(), liar.statement()]) await a.told('liar', said)
  expect(a.isCloned()).toBe(false)
  expect(() => a.heard('liar', truncated)).toThrow(MalformedError)
})

test('a member tells a copied host of the one that it was copied from', async () => {
  const cluster = await newCluster(stack)
  const identity = await openIdentity(await temporaryFolder(stack))
  const member = await startSwarm(stack, { cluster })
  const bootstrap = [member.address]
  const hosts = [
    await startSwarm(stack, { cluster, bootstrap, identity }),
    await startSwarm(stack, { cluster, bootstrap, identity }),
  ]
  await until('both are told', () => {
    for (const { swarm } of hosts) swarm.members.tell()
    return hosts.every(({ swarm }) => swarm.isCloned())
  })
})
