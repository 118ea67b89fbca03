import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Background, noMetrics, silentLogger } from '../../../src/base/base.ts'
import { type Digest, digestBytes, hexOf } from '../../../src/oci/oci.ts'
import { createAnnouncer } from '../../../src/swarm/dht/announcer.ts'
import { cidOf } from '../../../src/swarm/dht/finder.ts'
import type { Members } from '../../../src/swarm/members/members.ts'
import type { Libp2pNode } from '../../../src/swarm/streams/libp2p-node.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'

const peer = (name: string) => ({
  toString: () => name,
  equals: (other: { toString(): string }) => other.toString() === name,
})

/** A node in a mesh, whose own part of the DHT knows who announces what. */
function announcerWith(
  known: Map<Digest, string[]>,
  mesh: { complete: boolean; peers: string[]; settleMs?: number; deaf?: boolean },
  held: (shard: string) => Digest[] = () => [],
) {
  const self = peer('self')
  const provided: string[] = []
  const dht = {
    async *provide(cid: object) {
      provided.push(String(cid))
      if (mesh.deaf !== true) yield { name: 'PEER_RESPONSE', messageName: 'ADD_PROVIDER' }
    },
    async *findProviders(cid: object) {
      const found = [...known].find(([digest]) => String(cidOf(digest)) === String(cid))?.[1]
      if (found !== undefined)
        yield { name: 'PEER_RESPONSE', from: self, providers: found.map((name) => ({ id: peer(name) })) }
      yield { name: 'SEND_QUERY' }
      throw new Error('asked others')
    },
  }
  const tasks = new Background('the test', silentLogger)
  const clock = new SteppedClock()
  let changed = (): void => undefined
  const announcer = createAnnouncer({
    node: { peerId: self, services: { dht } } as unknown as Libp2pNode,
    members: {
      peers: () => mesh.peers,
      onChange: (listener: () => void) => {
        changed = listener
      },
    } as unknown as Members,
    isComplete: () => mesh.complete,
    async *held(shard) {
      yield* held(shard)
    },
    tasks,
    clock,
    random: () => 0.5,
    logger: silentLogger,
    metrics: noMetrics,
    settleMs: mesh.settleMs,
  })
  return { announcer, provided, tasks, clock, changed: () => changed() }
}

const few = ['a', 'b', 'c', 'd']
const many = [...few, ...Array.from({ length: 40 }, (_, index) => `more-${index}`)]
const names = ['common', 'known', 'remembered', 'rare']
const digests = names.map((text) => digestBytes(Buffer.from(text)))
const nameOf = new Map(digests.map((digest, index) => [String(cidOf(digest)), names[index]]))
const knowing = new Map(
  [['a', 'b', 'c'], ['a'], ['gone']].map((peers, index) => [
    digests[index] ?? digestBytes(Buffer.of()),
    peers,
  ]),
)

async function settle(clock: SteppedClock, ms: number): Promise<void> {
  for (const stepMs of [0, ms, 1000, 1000, 1000, 1000]) {
    clock.advance(stepMs)
    for (let turns = 0; turns < 20; turns++) await turn()
  }
}

test.each([
  ['of few that are all connected one', few, true, ['rare', 'remembered']],
  ['of few of which one is out of reach nobody', few, false, ['rare', 'remembered', 'known', 'common']],
  ['of many that are all connected three', many, true, ['rare', 'remembered', 'known']],
])('what members announce is left to them: %s', async (_, peers, complete, expected) => {
  const { announcer, provided, tasks, clock } = announcerWith(knowing, { complete, peers, settleMs: 1000 })
  // The newest is the first that is announced.
  for (const digest of digests) announcer.announce(digest)
  await settle(clock, 1000)
  expect(provided.map((cid) => nameOf.get(cid))).toEqual(expected)
  expect(announcer.size).toBe(4)
  await tasks[Symbol.asyncDispose]()
})

test.each([
  ['few that are all connected', few, true, 10 * 60_000],
  ['few of which one is out of reach', few, false, 15_000],
  ['many', many, true, 1000],
])('news waits the longer the less it helps: among %s', async (_, peers, complete, settleMs) => {
  const { announcer, provided, tasks, clock } = announcerWith(new Map(), { complete, peers })
  for (const digest of digests) announcer.announce(digest)
  await settle(clock, 0)
  clock.advance(settleMs - 10_000)
  await settle(clock, 0)
  if (settleMs > 20_000) expect(provided).toEqual([])
  await settle(clock, settleMs)
  expect(provided).toHaveLength(4)
  await tasks[Symbol.asyncDispose]()
})

test('news that waited among all is told once a member is gone', async () => {
  const mesh = { complete: true, peers: few }
  const { announcer, provided, tasks, clock, changed } = announcerWith(new Map(), mesh)
  for (const digest of digests) announcer.announce(digest)
  await settle(clock, 60_000)
  expect(provided).toEqual([])
  mesh.complete = false
  mesh.peers = ['a', 'b', 'c']
  changed()
  await settle(clock, 0)
  expect(provided).toHaveLength(4)
  await tasks[Symbol.asyncDispose]()
})

const shardMs = (12 * 3600_000) / 256

test('what is held is announced a 256th at a time, all of it within half a day', async () => {
  const all = Array.from({ length: 600 }, (_, at) => digestBytes(Buffer.from(String(at))))
  const listed: string[] = []
  const mesh = { complete: false, peers: few }
  const { announcer, provided, tasks, clock } = announcerWith(new Map(), mesh, (shard) => {
    listed.push(shard)
    return all.filter((digest) => hexOf(digest).startsWith(shard))
  })
  await settle(clock, 60_000)
  // Counted first.
  for (let at = 0; at < 256; at++) await settle(clock, 100)
  expect(announcer.size).toBe(600)
  const before = provided.length
  listed.length = 0
  await settle(clock, shardMs)
  expect(listed).toHaveLength(1)
  expect(provided.slice(before)).toEqual(
    all.filter((digest) => hexOf(digest).startsWith(listed[0] ?? '')).map((digest) => String(cidOf(digest))),
  )
  for (let shard = 0; shard < 256; shard++) await settle(clock, shardMs)
  expect(new Set(listed).size).toBe(256)
  expect(new Set(provided)).toEqual(new Set(all.map((digest) => String(cidOf(digest)))))
  await tasks[Symbol.asyncDispose]()
})

test('alone, a node lists what it holds to count it, and no more', async () => {
  const listed: string[] = []
  const { tasks, clock } = announcerWith(new Map(), { complete: true, peers: [] }, (shard) => {
    listed.push(shard)
    return digests
  })
  for (let at = 0; at < 260; at++) await settle(clock, shardMs)
  expect(listed).toHaveLength(256)
  await tasks[Symbol.asyncDispose]()
})

test('what was listed and is gone before its turn is not announced', async () => {
  const [first, second, third] = digests.map((digest) => String(cidOf(digest)))
  const mesh = { complete: false, peers: few }
  const { announcer, provided, tasks, clock } = announcerWith(new Map(), mesh, () => digests.slice(0, 3))
  for (let turns = 0; turns < 20; turns++) await turn()
  expect(provided).toEqual([first])
  for (const digest of digests.slice(1, 2)) announcer.withdraw(digest)
  await settle(clock, 0)
  expect(provided).not.toContain(second)
  expect(provided).toContain(third)
  await tasks[Symbol.asyncDispose]()
})

test('what nobody took note of and is gone is not tried again', async () => {
  const mesh = { complete: false, peers: few, settleMs: 1000, deaf: true }
  const { announcer, provided, tasks, clock } = announcerWith(new Map(), mesh)
  for (const digest of digests) announcer.announce(digest)
  await settle(clock, 1000)
  expect(provided).toHaveLength(4)
  // Of all that are due then the first is tried, and another goes while it rests.
  clock.advance(60_000)
  for (let turns = 0; turns < 20; turns++) await turn()
  expect(provided).toHaveLength(5)
  const [last] = digests
  if (last === undefined) throw new Error('there are four')
  announcer.withdraw(last)
  await settle(clock, 0)
  expect(provided).toHaveLength(7)
  expect(provided.filter((cid) => cid === String(cidOf(last)))).toHaveLength(1)
  await tasks[Symbol.asyncDispose]()
})
