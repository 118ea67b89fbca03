import type { GossipSub } from '@libp2p/gossipsub'
import { afterEach, expect, test, vi } from 'vitest'
import { clusterNames, secretNames } from '../../../src/swarm/cluster/cluster.ts'
import { encryption } from '../../../src/swarm/streams/encryption.ts'
import { createNode, type Libp2pNode } from '../../../src/swarm/streams/libp2p-node.ts'
import { openIdentity } from '../../../src/swarm/swarm.ts'
import { MemoryDatabase } from '../../hostile/memory-database.ts'
import { newCluster, temporaryFolder } from '../fixture.ts'

afterEach(() => vi.useRealTimers())

async function nodeOfItsOwn(stack: AsyncDisposableStack): Promise<Libp2pNode> {
  const cluster = await newCluster(stack)
  return await createNode({
    identity: await openIdentity(await temporaryFolder(stack)),
    names: clusterNames(cluster),
    encryption: encryption(secretNames(cluster)),
    gater: {},
    listen: ['/ip4/127.0.0.1/tcp/0'],
    announce: [],
    mdns: false,
    agent: 'test',
    demerits: () => 0,
    database: new MemoryDatabase(),
  })
}

test('hardly ever wakes a node that is not used', async () => {
  await using stack = new AsyncDisposableStack()
  const node = await nodeOfItsOwn(stack)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })
  await node.start()
  await vi.advanceTimersByTimeAsync(10_000)
  const untilMs = Date.now() + 60_000
  let wakes = 0
  while (Date.now() < untilMs) {
    await vi.advanceTimersToNextTimerAsync()
    wakes++
  }
  vi.useRealTimers()
  await node.stop()
  expect(wakes).toBeLessThan(30)
})

test('does not beat once more when it has stopped, which a program that is over would wait for', async () => {
  await using stack = new AsyncDisposableStack()
  const node = await nodeOfItsOwn(stack)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
  await node.start()
  await vi.advanceTimersByTimeAsync(10_000)
  await node.stop()
  const beat = vi.spyOn(node.services.gossip as GossipSub & { heartbeat(): Promise<void> }, 'heartbeat')
  await vi.advanceTimersByTimeAsync(10_000)
  expect(beat).not.toHaveBeenCalled()
})
