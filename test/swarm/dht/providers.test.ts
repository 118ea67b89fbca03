/** Who holds what, as the DHT knows it, and members that misbehave. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { digestBytes } from '../../../src/oci/oci.ts'
import type { Cluster } from '../../../src/swarm/swarm.ts'
import { MalformedError } from '../../../src/wire/wire.ts'
import { connected, newCluster, repository, startSwarm, type TestSwarm, until } from '../fixture.ts'

let stack: AsyncDisposableStack
let cluster: Cluster
beforeEach(async () => {
  stack = new AsyncDisposableStack()
  cluster = await newCluster(stack)
})
afterEach(async () => {
  await stack.disposeAsync()
})

const digest = digestBytes(Buffer.from('content'))

async function startTwo(): Promise<[TestSwarm, TestSwarm]> {
  const a = await startSwarm(stack, { cluster })
  const b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
  await until('a and b to be connected', () => connected(a, b))
  return [a, b]
}

async function providersAt({ swarm }: TestSwarm): Promise<string[]> {
  const found: string[] = []
  for await (const peer of swarm.providers.find({ digest, repository })) found.push(peer)
  return found
}

describe('the DHT', () => {
  test('names who announced content, also to a node that is not connected to it', async () => {
    const [a, b] = await startTwo()
    let apart = true
    const isBanned = (peer: string): boolean => apart && peer === a.swarm.peerId
    const c = await startSwarm(stack, { cluster, bootstrap: [b.address], isBanned })
    await until('b and c to be connected', () => connected(b, c))
    expect(await providersAt(c)).toEqual([])
    a.swarm.providers.announce(digest)
    apart = false
    await until('the provider to be found', async () => (await providersAt(c)).includes(a.swarm.peerId))
    expect(await providersAt(a)).toEqual([])
    a.swarm.providers.withdraw(digest)
  })

  test('is asked no longer than its caller waits', async () => {
    const [a] = await startTwo()
    const stop = new AbortController()
    stop.abort(new Error('left'))
    const finding = a.swarm.providers.find({ digest, repository }, { signal: stop.signal })
    await expect(finding[Symbol.asyncIterator]().next()).rejects.toThrow('left')
  })
})

describe('a member', () => {
  test('that is penalised often is disconnected and refused', async () => {
    const [a, b] = await startTwo()
    for (let i = 0; i < 4; i++) b.swarm.penalise(a.swarm.peerId, 'wrong-bytes')
    await until('a to be cut off', () => b.swarm.members.peers().length === 0)
    await expect(a.swarm.open(b.swarm.peerId, '/x', { maxFrameBytes: 1 })).rejects.toMatchObject({
      code: 'PEER_UNREACHABLE',
    })
  })

  test('whose requests make no sense is refused, and in the end cut off', async () => {
    const [a, b] = await startTwo()
    await a.swarm.handle('/test/1', { maxFrameBytes: 1024, maxInboundPerPeer: 4 }, async (channel) => {
      await channel.receive()
      throw new MalformedError('rubbish')
    })
    for (let i = 0; i < 12; i++) {
      const channel = await b.swarm
        .open(a.swarm.peerId, '/test/1', { maxFrameBytes: 1024 })
        .catch(() => undefined)
      if (channel === undefined) break
      await channel.send(Buffer.from('rubbish')).catch(() => undefined)
      await expect(channel.receive()).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
    }
    await until('the sender to be cut off', () => !connected(a, b))
  })
})
