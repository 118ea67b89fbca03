/** Faults of the network between hosts, each of which `shoal doctor` has to name. */
import { describe, expect } from 'vitest'
import { type Examination, examine } from '../e2e/doctor.ts'
import { requires } from '../e2e/requirement.ts'
import { until } from '../swarm/fixture.ts'
import { testOnNetwork } from './cluster-network.ts'
import { type ClusterNode, isMesh } from './cluster-node.ts'
import { networkNeeds } from './network.ts'

const test = testOnNetwork(3)

const examineOn = (node: ClusterNode): Promise<Examination> =>
  examine(node.folder.at('data'), [], (program, args) => node.host.command(program, args))

describe('shoal doctor on a network of its own', requires(...networkNeeds), () => {
  test('names a firewall, a secret that differs, and a host without a way for mDNS', async ({ hosts }) => {
    const first = await hosts.open(0, { flags: ['--no-mdns'] })
    const token = await first.shoal('token')
    const [a, b] = hosts.network.hosts
    if (a === undefined || b === undefined) throw new Error('three hosts')

    await hosts.network.partition([a], [b])
    const second = await hosts.open(1, { flags: ['--no-mdns', '--join', token] })
    expect((await examineOn(second)).faults).toEqual([
      expect.stringMatching(
        new RegExp(
          `^members: ${first.peer} does not answer at ${a.address}:5001: a firewall .*allow TCP port 5001`,
        ),
      ),
    ])
    await hosts.network.heal()
    await until('a mesh', () => isMesh([first, second]), 30_000)
    expect((await examineOn(second)).faults).toEqual([])

    // Away until the old secret has ended.
    await second.stop()
    await first.shoal('token', 'rotate', '--grace', '1s')
    await first.stop()
    const offline = await first.shoal('token')
    await first.start()
    await second.start()
    await until('the second to be alone', async () => (await second.peers()).length === 0, 30_000)
    expect((await examineOn(second)).faults).toContainEqual(
      expect.stringMatching(/^members: .* and does not become a member -> .*was the token rotated/),
    )

    const third = await hosts.open(2, { flags: ['--join', offline] })
    await third.run('ip', 'route', 'delete', 'default')
    await third.stop()
    await third.start([])
    expect((await examineOn(third)).faults).toEqual([
      expect.stringMatching(/^discovery: mDNS cannot find members: this host has no default route/),
    ])
  })
})
