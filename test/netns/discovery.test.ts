import { test as base, describe, expect } from 'vitest'
import type { Cluster } from '../../src/swarm/swarm.ts'
import { requires } from '../e2e/requirement.ts'
import { newCluster, temporaryFolder, until } from '../swarm/fixture.ts'
import { isMesh, type MemberOptions, type MemberProcess, startMember } from './member.ts'
import { type Network, type NetworkHost, networkNeeds, openNetwork } from './network.ts'

interface Lan {
  readonly network: Network
  readonly cluster: Cluster
  /** What it holds is gone at the end of the test. */
  readonly stack: AsyncDisposableStack
  host(index: number): NetworkHost
  start(index: number, options?: Partial<MemberOptions>): Promise<MemberProcess>
}

const test = base.extend<{ lan: Lan }>({
  // biome-ignore lint/correctness/noEmptyPattern: the runner reads from the pattern what a fixture needs.
  lan: async ({}, use) => {
    await using stack = new AsyncDisposableStack()
    const network = stack.use(await openNetwork(4))
    const cluster = await newCluster(stack)
    const host = (index: number): NetworkHost => {
      const found = network.hosts[index]
      if (found === undefined) throw new Error(`no host ${index}`)
      return found
    }
    await use({
      network,
      cluster,
      stack,
      host,
      async start(index, options = {}) {
        const folder = options.folder ?? (await temporaryFolder(stack))
        return stack.use(await startMember(host(index), { cluster, ...options, folder }))
      },
    })
  },
})

describe('on a network of their own', requires(...networkNeeds), () => {
  test.concurrent('members find each other by mDNS alone, and not those of another cluster', async ({
    lan,
  }) => {
    const { stack, start } = lan
    const other = await newCluster(stack)
    const members = [
      await start(0, { mdns: true }),
      await start(1, { mdns: true }),
      await start(2, { mdns: true }),
    ]
    const stranger = await start(3, { mdns: true, cluster: other })
    const since = performance.now()
    await until('a mesh of three', () => isMesh(members), 20_000)
    console.log(`mesh of three by mDNS ${(performance.now() - since).toFixed(0)} ms after the last start`)
    expect(stranger.peers()).toEqual([])
  })

  test.concurrent('a host without multicast joins by its bootstrap address alone', async ({ lan }) => {
    const { host, start } = lan
    const first = await start(0)
    const second = await start(1, { bootstrap: first.addresses })
    const third = await start(2, { bootstrap: [`/ip4/${host(0).address}/tcp/5001`] })
    await until('a mesh of three', () => isMesh([first, second, third]), 20_000)
  })

  test.concurrent('a stranger who knows the address but not the secret gets nowhere', async ({ lan }) => {
    const { stack, start } = lan
    const member = await start(0)
    const stranger = await start(1, { cluster: await newCluster(stack), bootstrap: member.addresses })
    const friend = await start(2, { bootstrap: member.addresses })
    await until('the friend to be in', () => isMesh([member, friend]), 20_000)
    await expect(stranger.fetch(member.digest)).rejects.toThrow('All promises were rejected')
    expect(stranger.peers()).toEqual([])
  })

  test.concurrent('a restarted member finds the others with its bootstrap node gone', async ({ lan }) => {
    const { stack, start } = lan
    const bootstrap = await start(0)
    const folder = await temporaryFolder(stack)
    const stays = await start(1, { bootstrap: bootstrap.addresses })
    const restarts = await start(2, { bootstrap: bootstrap.addresses, folder })
    await until('a mesh of three', () => isMesh([bootstrap, stays, restarts]), 20_000)
    await restarts[Symbol.asyncDispose]()
    await bootstrap[Symbol.asyncDispose]()
    await until('one to be alone', () => stays.peers().length === 0, 20_000)
    const again = await start(2, { bootstrap: bootstrap.addresses, folder })
    expect(again.peer).toBe(restarts.peer)
    await until('the two to meet', () => isMesh([stays, again]), 20_000)
  })

  test.concurrent('a partition splits the members, and they meet again within seconds of its end', async ({
    lan,
  }) => {
    const { network, host, start } = lan
    const first = await start(0)
    const members = [first]
    for (const index of [1, 2, 3]) members.push(await start(index, { bootstrap: first.addresses }))
    const [a, b, c, d] = members
    if (!a || !b || !c || !d) throw new Error('four members')
    await until('a mesh of four', () => isMesh(members), 20_000)
    await network.partition([host(0), host(1)], [host(2), host(3)])
    const cut = performance.now()
    await until('two meshes of two', () => isMesh([a, b]) && isMesh([c, d]), 60_000)
    const split = performance.now()
    await network.heal()
    await until('a mesh of four again', () => isMesh(members), 20_000)
    console.log(
      `split after ${(split - cut).toFixed(0)} ms, whole ${(performance.now() - split).toFixed(0)} ms after healing`,
    )
  })

  test('a member whose host vanishes is noticed, and a fetch goes to another', async ({ lan }) => {
    const { network, host, start } = lan
    const size = 1_000_000
    const first = await start(0, { blobBytes: size })
    const second = await start(1, { blobBytes: size, bootstrap: first.addresses })
    const third = await start(2, { bootstrap: first.addresses })
    await until('a mesh of three', () => isMesh([first, second, third]), 20_000)
    await network.partition([host(0)], [host(1), host(2)])
    const fetched = await third.fetch(first.digest)
    expect(fetched).toMatchObject({ digest: first.digest, from: second.peer })
    // Before silence tells that it is gone, which takes 12 s.
    expect(fetched.ms).toBeLessThan(10_000)
  })

  test('a shaped link carries what it is set to', async ({ lan }) => {
    const { network, host, start } = lan
    const first = await start(0, { blobBytes: 5_000_000 })
    const second = await start(1, { bootstrap: first.addresses })
    await until('a mesh of two', () => isMesh([first, second]), 20_000)
    await network.shape(host(0), 20)
    const { ms, digest } = await second.fetch(first.digest)
    expect(digest).toBe(first.digest)
    expect(ms).toBeGreaterThan(1700)
    console.log(`5 MB at 20 Mbit/s in ${ms.toFixed(0)} ms; 2000 is the link's limit`)
  })
})
