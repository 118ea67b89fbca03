/** Whole nodes on hosts of their own: how they find each other, and who does not get in. */
import { describe, expect } from 'vitest'
import { requires } from '../e2e/requirement.ts'
import { until } from '../swarm/fixture.ts'
import { testOnNetwork } from './cluster-network.ts'
import { type ClusterNode, isMesh } from './cluster-node.ts'
import { pushSmall, resolveTag, smallManifest } from './names.ts'
import { networkNeeds } from './network.ts'

const test = testOnNetwork(4)

describe('nodes on a network of their own', requires(...networkNeeds), () => {
  test.concurrent('find each other by mDNS alone, with a token that names no address', async ({ hosts }) => {
    const first = await hosts.open(0)
    await first.stop()
    // Printed while the node does not run, a token has no address in it.
    const token = await first.shoal('token')
    await first.start()
    const others = await Promise.all([1, 2].map((index) => hosts.open(index, { flags: ['--join', token] })))
    await until('a mesh of three', () => isMesh([first, ...others]), 30_000)
  })

  test.concurrent('find each other by the address in the token alone, and after a restart without it', async ({
    hosts,
  }) => {
    const first = await hosts.open(0, { flags: ['--no-mdns'] })
    const token = await first.shoal('token')
    const join = { flags: ['--no-mdns', '--join', token] }
    const [second, third] = [await hosts.open(1, join), await hosts.open(2, join)]
    await until('a mesh of three', () => isMesh([first, second, third]), 30_000)

    const manifest = smallManifest('rejoin')
    await pushSmall(second.client, 'team/app', '1', manifest)
    await third.stop()
    await first.stop()
    await third.start(['--no-mdns'])
    await until('the two to meet', () => isMesh([second, third]), 30_000)
    expect(await resolveTag(third.client, 'team/app', '1')).toBe(manifest.descriptor.digest)
  })

  test.concurrent('give strangers nothing: neither one without a token nor one of another cluster', async ({
    hosts,
  }) => {
    const first = await hosts.open(0)
    const address = `/ip4/${first.host.address}/tcp/5001`
    const [friend, tokenless, other] = [
      await hosts.open(1, { flags: ['--join', await first.shoal('token')] }),
      await hosts.open(2, { flags: ['--bootstrap', address] }),
      await hosts.open(3, { flags: ['--no-mdns'] }),
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
        .some(
          (line) =>
            line.includes('left before the handshake was over') &&
            line.includes(`"${stranger.host.address}"`),
        )
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
