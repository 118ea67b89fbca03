/** Docker engines on hosts of their own, each beside a node and without a line of configuration. */
import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DockerEngine, openDockerEngine } from '../e2e/docker-engine.ts'
import { archive, greeting, makeImage } from '../e2e/image.ts'
import { showOutputOnFailure } from '../e2e/process.ts'
import { requires } from '../e2e/requirement.ts'
import { until } from '../swarm/fixture.ts'
import { type ClusterNode, isMesh, openClusterNode } from './cluster-node.ts'
import { networkNeeds, openNetwork } from './network.ts'

describe('docker on two hosts', requires(...networkNeeds, 'nsenter', 'dockerd', 'docker'), () => {
  const stack = new AsyncDisposableStack()
  const nodes: ClusterNode[] = []
  const engines: DockerEngine[] = []

  beforeAll(async () => {
    const network = stack.use(await openNetwork(2))
    for (const host of network.hosts) {
      const token = await nodes[0]?.shoal('token')
      const flags = token === undefined ? [] : ['--join', token]
      nodes.push(stack.use(await openClusterNode(host, { flags })))
      // `ip netns exec` would hide the control groups, which an engine needs.
      const command = (program: string, args: string[]) => ({
        command: 'nsenter',
        args: [`--net=/run/netns/${host.name}`, program, ...args],
      })
      engines.push(stack.use(await openDockerEngine('default', { command })))
    }
    await until('the two nodes to meet', () => isMesh(nodes), 30_000)
  }, 120_000)
  afterAll(async () => await stack.disposeAsync(), 60_000)
  showOutputOnFailure(() => [...nodes, ...engines])

  test('what is pushed to localhost:5000 on one is pulled from localhost:5000 on the other, and runs', async () => {
    const [pusher, puller] = engines
    if (!pusher || !puller) throw new Error('two engines')
    const name = 'localhost:5000/team/app:1'
    const file = pusher.folder.at('image.tar')
    const image = makeImage({ seed: 'two hosts', layerBytes: [200_000, 8_000_000] })
    await writeFile(file, archive(image, name))
    await pusher.docker(['load', '--input', file])
    const pushed = await pusher.docker(['push', name])
    const digest = /digest: (sha256:[0-9a-f]{64})/.exec(pushed.stdout)?.[1]
    const pulled = await puller.docker(['pull', name])
    expect(pulled.stdout).toContain(`Digest: ${digest}`)
    const { stdout } = await puller.docker(['run', '--rm', '--network=host', name])
    expect(stdout).toBe(greeting('two hosts'))
    const peers = await nodes[1]?.shoal('peers')
    expect(peers).toMatch(new RegExp(`^${nodes[0]?.peer} .* 7\\.\\d MiB +0 B +- +shoal/`, 'm'))
  })
})
