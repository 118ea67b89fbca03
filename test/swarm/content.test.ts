import { fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Clock, noMetrics, steadyClock } from '../../src/base/base.ts'
import { type Digest, digestBytes } from '../../src/oci/oci.ts'
import { headStartMs } from '../../src/swarm/finder.ts'
import { type Cluster, type Fetched, tokenOf } from '../../src/swarm/swarm.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'
import { connected, newCluster, repository, startSwarm, type TestSwarm, until } from './fixture.ts'

let stack: AsyncDisposableStack
let cluster: Cluster
beforeEach(async () => {
  stack = new AsyncDisposableStack()
  cluster = await newCluster(stack)
})
afterEach(async () => {
  await stack.disposeAsync()
})

async function startConnected(
  count: number,
  options: Partial<Parameters<typeof startSwarm>[1]> = {},
): Promise<TestSwarm[]> {
  const first = await startSwarm(stack, { cluster, ...options })
  const nodes = [first]
  while (nodes.length < count) {
    nodes.push(await startSwarm(stack, { cluster, bootstrap: [first.address], ...options }))
  }
  await until('a full mesh', () => nodes.every(({ swarm }) => swarm.members.peers().length === count - 1))
  return nodes
}

async function collect({ body }: Fetched): Promise<Digest> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return digestBytes(Buffer.concat(chunks))
}

async function list(iterable: AsyncIterable<string>): Promise<string[]> {
  const items: string[] = []
  for await (const item of iterable) items.push(item)
  return items
}

describe('content', () => {
  test.each([0, 1, 262_064, 3_000_000])(
    'of %i bytes is fetched whole from the member that has it',
    async (size) => {
      const [a, b] = await startConnected(2)
      if (a === undefined || b === undefined) throw new Error('two nodes')
      const digest = a.source.add(randomBytes(size))
      const fetched = await b.swarm.content.fetch({ digest, repository })
      expect(fetched).toMatchObject({ size, peer: a.swarm.peerId })
      expect(await collect(fetched)).toBe(digest)
    },
  )

  test('is found at all members that have it and may give it', async () => {
    const [a, b, c, d] = await startConnected(4)
    if (!a || !b || !c || !d) throw new Error('four nodes')
    const bytes = randomBytes(10)
    for (const node of [a, b, c]) node.source.add(bytes)
    const digest = digestBytes(bytes)
    c.source.hidden.add(digest)
    const found = await list(d.swarm.content.find({ digest, repository }))
    expect(found.sort()).toEqual([a.swarm.peerId, b.swarm.peerId].sort())
  })

  test('is not searched for in the DHT when a member has it and all are connected', async () => {
    const searches = new Map<string, number>()
    const count = (name: string) => void searches.set(name, (searches.get(name) ?? 0) + 1)
    // However long a member takes to answer here, it has its head start.
    const clock: Clock = {
      now: steadyClock.now,
      sleep: (ms, options) =>
        ms === headStartMs ? new SteppedClock().sleep(ms, options) : steadyClock.sleep(ms, options),
    }
    const [a, b, c] = await startConnected(3, { metrics: { ...noMetrics, count }, clock })
    if (!a || !b || !c) throw new Error('three nodes')
    const searched = async (digest: Digest): Promise<number> => {
      searches.clear()
      await list(c.swarm.content.find({ digest, repository }))
      return searches.get('shoal_dht_searches_total') ?? 0
    }
    expect(await searched(a.source.add(randomBytes(10)))).toBe(0)
    expect(await searched(digestBytes(randomBytes(10)))).toBe(1)
    await b.stop()
    await until('b to be missed', () => c.swarm.members.peers().length === 1)
    expect(await searched(a.source.add(randomBytes(10)))).toBe(1)
  })

  test('that nobody has is unavailable, and found when somebody has it', async () => {
    const [a, b] = await startConnected(2)
    if (!a || !b) throw new Error('two nodes')
    const bytes = randomBytes(10)
    const digest = digestBytes(bytes)
    await expect(b.swarm.content.fetch({ digest, repository })).rejects.toMatchObject({
      code: 'CONTENT_UNAVAILABLE',
      failures: [],
    })
    a.source.add(bytes)
    await until(
      'the answer to be forgotten',
      async () => (await list(b.swarm.content.find({ digest, repository }))).length === 1,
    )
  })

  test('look-ups at once are one, and a caller that leaves does not end it for the others', async () => {
    const [a, b] = await startConnected(2)
    if (!a || !b) throw new Error('two nodes')
    const digest = a.source.add(randomBytes(10))
    let asked = 0
    const has = a.source.has.bind(a.source)
    a.source.has = async (wanted) => {
      asked++
      return await has(wanted)
    }
    const stop = new AbortController()
    const leaving = list(b.swarm.content.find({ digest, repository }, { signal: stop.signal }))
    const others = Array.from({ length: 10 }, () => list(b.swarm.content.find({ digest, repository })))
    stop.abort(new Error('left'))
    await expect(leaving).rejects.toThrow('left')
    expect(await Promise.all(others)).toEqual(Array.from({ length: 10 }, () => [a.swarm.peerId]))
    expect(asked).toBe(1)
  })

  test('a provider that fails before its first byte is replaced by the next', async () => {
    const [a, b, c] = await startConnected(3)
    if (!a || !b || !c) throw new Error('three nodes')
    const bytes = randomBytes(1000)
    const digest = a.source.add(bytes)
    b.source.add(bytes)
    a.source.open = async () => {
      throw new Error('the disk is gone')
    }
    for (let i = 0; i < 5; i++) {
      const fetched = await c.swarm.content.fetch({ digest, repository })
      expect(fetched.peer).toBe(b.swarm.peerId)
      expect(await collect(fetched)).toBe(digest)
    }
  })

  test('a provider that was blamed is not asked for that digest again', async () => {
    const [a, b] = await startConnected(2)
    if (!a || !b) throw new Error('two nodes')
    const digest = a.source.add(randomBytes(1000))
    b.swarm.content.blame(a.swarm.peerId, digest, 'its bytes hash to something else')
    await expect(b.swarm.content.fetch({ digest, repository })).rejects.toMatchObject({
      code: 'CONTENT_UNAVAILABLE',
    })
    const next = a.source.add(randomBytes(1000))
    expect((await b.swarm.content.fetch({ digest: next, repository })).peer).toBe(a.swarm.peerId)
  })

  test('a member blamed often is disconnected and refused', async () => {
    const [a, b] = await startConnected(2)
    if (!a || !b) throw new Error('two nodes')
    for (let i = 0; i < 4; i++) b.swarm.content.blame(a.swarm.peerId, digestBytes(Buffer.of(i)), 'wrong')
    await until('a to be cut off', () => b.swarm.members.peers().length === 0)
    await expect(a.swarm.open(b.swarm.peerId, '/x', { maxFrameBytes: 1 })).rejects.toMatchObject({
      code: 'PEER_UNREACHABLE',
    })
  })

  test('a member that serves as much as it allows says that it is busy', async () => {
    const [a, b] = await startConnected(2, { serveLimits: { perPeer: 2 } })
    if (!a || !b) throw new Error('two nodes')
    const digest = a.source.add(randomBytes(16_000_000))
    const fetches = [
      await b.swarm.content.fetch({ digest, repository }),
      await b.swarm.content.fetch({ digest, repository }),
    ]
    await expect(b.swarm.content.fetch({ digest, repository })).rejects.toThrow(`${a.swarm.peerId}: busy`)
    for (const fetched of fetches) expect(await collect(fetched)).toBe(digest)
    await until('a slot', async () => {
      const fetched = await b.swarm.content.fetch({ digest, repository }).catch(() => undefined)
      return fetched !== undefined && (await collect(fetched)) === digest
    })
  })

  test('readers that take nothing do not keep another member from being served', async () => {
    const [a, b, c] = await startConnected(3, { serveLimits: { total: 3, perPeer: 3 } })
    if (!a || !b || !c) throw new Error('three nodes')
    const digest = a.source.add(randomBytes(16_000_000))
    for (let i = 0; i < 3; i++) await b.swarm.content.fetch({ digest, repository })
    expect(await collect(await c.swarm.content.fetch({ digest, repository }))).toBe(digest)
  })

  test('a reader that leaves frees its slot at the provider', async () => {
    const [a, b] = await startConnected(2, { serveLimits: { perPeer: 1 } })
    if (!a || !b) throw new Error('two nodes')
    const digest = a.source.add(randomBytes(16_000_000))
    for await (const _ of (await b.swarm.content.fetch({ digest, repository })).body) break
    await until('the slot to be free', async () => {
      const fetched = await b.swarm.content.fetch({ digest, repository }).catch(() => undefined)
      if (fetched === undefined) return false
      return (await collect(fetched)) === digest
    })
  })

  test('announced content is found through the DHT by a node that is not connected to its holder', async () => {
    const [a, b] = await startConnected(2)
    if (!a || !b) throw new Error('two nodes')
    let apart = true
    const isBanned = (peer: string): boolean => apart && peer === a.swarm.peerId
    const c = await startSwarm(stack, { cluster, bootstrap: [b.address], isBanned })
    await until('b and c to be connected', () => connected(b, c))
    const digest = a.source.add(randomBytes(10))
    await expect(c.swarm.content.fetch({ digest, repository })).rejects.toMatchObject({
      code: 'CONTENT_UNAVAILABLE',
    })
    a.swarm.content.announce(digest)
    apart = false
    await until('the holder to be found', async () => {
      const fetched = await c.swarm.content.fetch({ digest, repository }).catch(() => undefined)
      return fetched !== undefined && (await collect(fetched)) === digest
    })
    a.swarm.content.withdraw(digest)
  })

  test('a provider that is killed in the middle is an error for the reader', {
    timeout: 30_000,
  }, async () => {
    const [a, b] = await startConnected(2)
    if (!a || !b) throw new Error('two nodes')
    const child = fork(new URL('./provider-child.ts', import.meta.url), [tokenOf(cluster), b.address])
    try {
      const [digest] = (await once(child, 'message')) as [Digest]
      const fetched = await b.swarm.content.fetch({ digest, repository })
      const hash = createHash('sha256')
      const reading = (async () => {
        let received = 0
        for await (const chunk of fetched.body) {
          hash.update(chunk)
          received += chunk.length
          if (received > 8_000_000 && !child.killed) child.kill('SIGKILL')
        }
      })()
      await expect(reading).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
    } finally {
      child.kill('SIGKILL')
    }
  })

  test('a provider that stops answering is a stall, and the next look-up goes elsewhere', {
    timeout: 30_000,
  }, async () => {
    const [a, b] = await startConnected(2, { fetchLimits: { startMs: 3000, stallMs: 500 } })
    if (!a || !b) throw new Error('two nodes')
    const child = fork(new URL('./provider-child.ts', import.meta.url), [tokenOf(cluster), b.address])
    try {
      const [digest] = (await once(child, 'message')) as [Digest]
      const fetched = await b.swarm.content.fetch({ digest, repository })
      const reading = (async () => {
        let received = 0
        for await (const chunk of fetched.body) {
          received += chunk.length
          if (received > 8_000_000) child.kill('SIGSTOP')
        }
      })()
      await expect(reading).rejects.toMatchObject({ code: 'PEER_STALLED' })
      await expect(b.swarm.content.fetch({ digest, repository })).rejects.toMatchObject({
        code: 'CONTENT_UNAVAILABLE',
      })
    } finally {
      child.kill('SIGKILL')
    }
  })

  test('a request that makes no sense is refused and counts against its sender', async () => {
    const [a, b] = await startConnected(2)
    if (!a || !b) throw new Error('two nodes')
    for (let i = 0; i < 12; i++) {
      const channel = await b.swarm
        .open(a.swarm.peerId, '/shoal/have/1.0.0', { maxFrameBytes: 1024 })
        .catch(() => undefined)
      if (channel === undefined) break
      await channel.send(Buffer.from('rubbish')).catch(() => undefined)
      await expect(channel.receive()).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
    }
    await until('the sender to be cut off', () => !connected(a, b))
  })
})
