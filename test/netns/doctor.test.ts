/** Faults of the network between hosts, each of which `shoal doctor` has to name. */
import { describe, expect } from 'vitest'
import { type Examination, examine } from '../e2e/doctor.ts'
import { requires } from '../e2e/requirement.ts'
import { until } from '../swarm/fixture.ts'
import { testOnNetwork } from './cluster-network.ts'
import { type ClusterNode, isMesh } from './cluster-node.ts'
import { networkNeeds } from './network.ts'

const test = testOnNetwork(4)

const examineOn = (node: ClusterNode): Promise<Examination> =>
  examine(node.folder.at('data'), [], (program, args) => node.host.command(program, args))

describe('shoal doctor on a network of its own', requires(...networkNeeds), () => {
  test('names a firewall, a line that is cut, a secret that differs, and a host without a way for mDNS', async ({
    hosts,
  }) => {
    const first = await hosts.open(0, { flags: ['--no-mdns'] })
    const token = await first.shoal('token')
    const [a, b, c] = hosts.network.hosts
    if (a === undefined || b === undefined || c === undefined) throw new Error('three hosts')

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
    const third = await hosts.open(2, { flags: ['--no-mdns', '--join', token] })
    await until('a mesh', () => isMesh([first, second, third]))
    expect((await examineOn(second)).faults).toEqual([])

    await hosts.network.partition([a], [b, c])
    await until('the first to be alone', async () => (await first.peers()).length === 0)
    const [cut, ...more] = (await examineOn(first)).faults
    expect(cut).toMatch(/^members: none of 2 members answers: .*; the line between is cut/)
    for (const { peer, host } of [second, third]) expect(cut).toContain(`${peer} at ${host.address}:5001`)
    expect(more).toEqual([])
    await hosts.network.heal()
    await third.stop()

    // Away until the old secret has ended.
    await second.stop()
    await first.shoal('token', 'rotate', '--grace', '1s')
    await first.stop()
    const offline = await first.shoal('token')
    await first.start()
    await second.start()
    await until('the second to be alone', async () => (await second.peers()).length === 0)
    expect((await examineOn(second)).faults).toContainEqual(
      expect.stringMatching(/^members: .* and does not become a member -> .*was the token rotated/),
    )

    const fourth = await hosts.open(3, { flags: ['--join', offline] })
    await fourth.run('ip', 'route', 'delete', 'default')
    await fourth.stop()
    await fourth.start([])
    expect((await examineOn(fourth)).faults).toEqual([
      expect.stringMatching(/^discovery: mDNS cannot find members: this host has no default route/),
    ])
  })
})
