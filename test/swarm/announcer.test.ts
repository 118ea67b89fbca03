import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Background, type Clock, noMetrics, silentLogger } from '../../src/base/base.ts'
import { type Digest, digestBytes } from '../../src/oci/oci.ts'
import { createAnnouncer } from '../../src/swarm/announcer.ts'
import { cidOf } from '../../src/swarm/finder.ts'
import type { Libp2pNode } from '../../src/swarm/libp2p-node.ts'
import type { Members } from '../../src/swarm/members.ts'

/** Short waits are over at once, long ones never. */
const hurried: Clock = {
  now: () => 0,
  sleep: async (ms, { signal } = {}) => {
    await turn()
    signal?.throwIfAborted()
    if (ms < 10_000) return
    await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
  },
}

const peer = (name: string) => ({
  toString: () => name,
  equals: (other: { toString(): string }) => other.toString() === name,
})

/** A node in a mesh with a, b, c and d, whose own part of the DHT knows who announces what. */
function announcerWith(known: Map<Digest, string[]>, { complete }: { complete: boolean }) {
  const self = peer('self')
  const provided: string[] = []
  const dht = {
    async *provide(cid: object) {
      provided.push(String(cid))
      yield { name: 'PEER_RESPONSE', messageName: 'ADD_PROVIDER' }
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
  const announcer = createAnnouncer({
    node: { peerId: self, services: { dht } } as unknown as Libp2pNode,
    members: { peers: () => ['a', 'b', 'c', 'd'], onChange: () => () => undefined } as unknown as Members,
    isComplete: () => complete,
    tasks,
    clock: hurried,
    random: () => 0.5,
    logger: silentLogger,
    metrics: noMetrics,
    settleMs: 1000,
  })
  return { announcer, provided, tasks }
}

const [common, rare, remembered] = ['common', 'rare', 'remembered'].map((text) =>
  digestBytes(Buffer.from(text)),
)

test.each([
  ['all are connected', true, ['remembered', 'rare']],
  ['a member is out of reach', false, ['common', 'remembered', 'rare']],
])('what three connected members announce is left to them, while %s', async (_, complete, expected) => {
  if (!common || !rare || !remembered) throw new Error('three digests')
  const known = new Map([
    [common, ['a', 'b', 'c']],
    [remembered, ['a', 'b', 'gone']],
  ])
  const { announcer, provided, tasks } = announcerWith(known, { complete })
  // The newest is the first that is announced.
  for (const digest of [rare, remembered, common]) announcer.announce(digest)
  while (!provided.includes(String(cidOf(rare)))) await turn()
  const names = new Map([common, rare, remembered].map((digest, index) => [String(cidOf(digest)), index]))
  expect(provided.map((cid) => ['common', 'rare', 'remembered'][names.get(cid) ?? -1])).toEqual(expected)
  expect(announcer.size).toBe(3)
  await tasks[Symbol.asyncDispose]()
})
