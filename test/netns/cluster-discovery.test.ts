/** Whole nodes on hosts of their own: how they find each other, and who does not get in. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { showOutputOnFailure } from '../e2e/process.ts'
import { requires } from '../e2e/requirement.ts'
import { until } from '../swarm/fixture.ts'
import { type ClusterNode, type ClusterNodeOptions, isMesh, openClusterNode } from './cluster-node.ts'
import { pushSmall, resolveTag, smallManifest } from './names.ts'
import { type Network, networkNeeds, openNetwork } from './network.ts'

let stack: AsyncDisposableStack
let network: Network
let nodes: ClusterNode[] = []

async function open(index: number, options: ClusterNodeOptions = {}): Promise<ClusterNode> {
  const host = network.hosts[index]
  if (host === undefined) throw new Error(`no host ${index}`)
  const node = stack.use(await openClusterNode(host, options))
  nodes.push(node)
  return node
}

describe('nodes on a network of their own', requires(...networkNeeds), () => {
  beforeEach(async () => {
    stack = new AsyncDisposableStack()
    network = stack.use(await openNetwork(4))
    nodes = []
  })
  afterEach(async () => await stack.disposeAsync())
  showOutputOnFailure(() => nodes)

  test('find each other by mDNS alone, with a token that names no address', async () => {
    const first = await open(0)
    await first.stop()
    // Printed while the node does not run, a token has no address in it.
    const token = await first.shoal('token')
    await first.start()
    const others = await Promise.all([1, 2].map((index) => open(index, { flags: ['--join', token] })))
    await until('a mesh of three', () => isMesh([first, ...others]), 30_000)
  })

  test('find each other by the address in the token alone, and after a restart without it', async () => {
    const first = await open(0, { flags: ['--no-mdns'] })
    const token = await first.shoal('token')
    const join = { flags: ['--no-mdns', '--join', token] }
    const [second, third] = [await open(1, join), await open(2, join)]
    await until('a mesh of three', () => isMesh([first, second, third]), 30_000)

    const manifest = smallManifest('rejoin')
    await pushSmall(second.client, 'team/app', '1', manifest)
    await third.stop()
    await first.stop()
    await third.start(['--no-mdns'])
    await until('the two to meet', () => isMesh([second, third]), 30_000)
    expect(await resolveTag(third.client, 'team/app', '1')).toBe(manifest.descriptor.digest)
  })

  test('give strangers nothing: neither one without a token nor one of another cluster', async () => {
    const first = await open(0)
    const address = `/ip4/${first.host.address}/tcp/5001`
    const [friend, tokenless, other] = [
      await open(1, { flags: ['--join', await first.shoal('token')] }),
      await open(2, { flags: ['--bootstrap', address] }),
      await open(3, { flags: ['--no-mdns'] }),
    ]
    const foreign = await other.shoal('token')
    await other.stop()
    await other.start(['--join', foreign, '--bootstrap', address])
    const manifest = smallManifest('secret')
    await pushSmall(first.client, 'team/secret', '1', manifest)
    await until('the friend to be in', () => isMesh([first, friend]), 30_000)
    await until('the friend to know the tag', async () => {
      return (await resolveTag(friend.client, 'team/secret', '1')) === manifest.descriptor.digest
    })

    // Both keep on trying: that they were turned away is seen at the door, not waited for.
    const turnedAway = (stranger: ClusterNode) =>
      first
        .output()
        .split('\n')
        .some((line) => line.includes('fail the handshake') && line.includes(`"${stranger.host.address}"`))
    await until('both to be turned away', () => turnedAway(tokenless) && turnedAway(other), 20_000)
    for (const stranger of [tokenless, other]) {
      expect(await stranger.peers()).toEqual([])
      expect(await resolveTag(stranger.client, 'team/secret', '1')).toBeUndefined()
      const digest = manifest.descriptor.digest
      expect(await resolveTag(stranger.client, 'team/secret', digest)).toBeUndefined()
      const catalog = await stranger.client.ask('GET', '/v2/_catalog')
      expect(JSON.parse(catalog.body.toString())).toEqual({ repositories: [] })
    }
    expect((await first.peers()).toSorted()).toEqual([friend.peer])
  })
})
