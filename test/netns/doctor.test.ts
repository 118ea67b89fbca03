/** Faults of the network between hosts, each of which `shoal doctor` has to name. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Examination, examine } from '../e2e/doctor.ts'
import { showOutputOnFailure } from '../e2e/process.ts'
import { requires } from '../e2e/requirement.ts'
import { until } from '../swarm/fixture.ts'
import { type ClusterNode, type ClusterNodeOptions, isMesh, openClusterNode } from './cluster-node.ts'
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

const examineOn = (node: ClusterNode): Promise<Examination> =>
  examine(node.folder.at('data'), [], (program, args) => node.host.command(program, args))

describe('shoal doctor on a network of its own', requires(...networkNeeds), () => {
  beforeEach(async () => {
    stack = new AsyncDisposableStack()
    network = stack.use(await openNetwork(3))
    nodes = []
  })
  afterEach(async () => await stack.disposeAsync())
  showOutputOnFailure(() => nodes)

  test('names a firewall, a secret that differs, and a host without a way for mDNS', async () => {
    const first = await open(0, { flags: ['--no-mdns'] })
    const token = await first.shoal('token')
    const [a, b] = network.hosts
    if (a === undefined || b === undefined) throw new Error('three hosts')

    await network.partition([a], [b])
    const second = await open(1, { flags: ['--no-mdns', '--join', token] })
    expect((await examineOn(second)).faults).toEqual([
      expect.stringMatching(/^members: no member is connected though this node has joined/),
      expect.stringMatching(
        new RegExp(
          `^members: ${first.peer} does not answer at ${a.address}:5001: a firewall .*allow TCP port 5001`,
        ),
      ),
    ])
    await network.heal()
    await until('a mesh', () => isMesh([first, second]), 30_000)
    expect((await examineOn(second)).faults).toEqual([])

    await first.shoal('token', 'rotate')
    await first.stop()
    const offline = await first.shoal('token')
    await first.start()
    await until('the second to be alone', async () => (await second.peers()).length === 0, 30_000)
    expect((await examineOn(second)).faults).toContainEqual(
      expect.stringMatching(/^members: .* and does not become a member -> .*was the token rotated/),
    )

    const third = await open(2, { flags: ['--join', offline] })
    await third.run('ip', 'route', 'delete', 'default')
    await third.stop()
    await third.start([])
    expect((await examineOn(third)).faults).toEqual([
      expect.stringMatching(/^discovery: mDNS cannot find members: this host has no default route/),
    ])
  })
})
