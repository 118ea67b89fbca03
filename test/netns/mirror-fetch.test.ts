/** Blobs of an upstream that nobody has yet: fetched once for all hosts, and to their end when the host that fetches is killed. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeImage } from '../e2e/image.ts'
import { run, showOutputOnFailure } from '../e2e/process.ts'
import { requires } from '../e2e/requirement.ts'
import { openUpstreamRegistry, type UpstreamRegistry, upstreamNeeds } from '../e2e/upstream-registry.ts'
import { until } from '../swarm/fixture.ts'
import { type ClusterNode, isMesh, openClusterNodes } from './cluster-node.ts'
import { type Network, type NetworkHost, networkNeeds, openNetwork } from './network.ts'

const hosts = 4
const megabits = 100
/** Slow enough for a busy machine to see that half of a layer is over it before all is. */
const slowMegabits = 40
const layerBytes = 16 * 1024 * 1024
const name = 'upstream.test'

describe('an upstream behind a cluster', requires(...networkNeeds, ...upstreamNeeds), () => {
  const stack = new AsyncDisposableStack()
  let nodes: ClusterNode[] = []
  let upstream: UpstreamRegistry
  let outside: NetworkHost
  let network: Network

  beforeAll(async () => {
    network = stack.use(await openNetwork(hosts + 1))
    const [at, ...members] = network.hosts
    if (at === undefined) throw new Error('no host for the upstream')
    outside = at
    upstream = stack.use(await openUpstreamRegistry({ at }))
    nodes = await openClusterNodes(members, stack, ['--no-mdns', '--upstream', `${name}=${upstream.url}`])
    await until('the nodes to meet', () => isMesh(nodes), 60_000)
    for (const host of network.hosts) await network.shape(host, megabits)
  }, 120_000)
  afterAll(async () => await stack.disposeAsync(), 60_000)
  showOutputOnFailure(() => [...nodes, upstream])

  /** The digest of a layer that is new to all. */
  async function newLayer(seed: string): Promise<{ path: string; bytes: Uint8Array }> {
    const image = makeImage({ seed, layerBytes: [layerBytes] })
    const [layer] = image.layers
    if (layer === undefined) throw new Error('an image without a layer')
    await upstream.push('library/big', seed, image)
    return { path: `/v2/${name}/library/big/blobs/${layer.descriptor.digest}`, bytes: layer.bytes }
  }

  async function expectBlob(
    node: ClusterNode,
    { path, bytes }: { path: string; bytes: Uint8Array },
  ): Promise<void> {
    const { status, body } = await node.client.ask('GET', path)
    expect(status).toBe(200)
    expect(Buffer.compare(body, bytes)).toBe(0)
  }

  test('sends a blob once when all want it at once, and not again to who wants it later', async () => {
    const layer = await newLayer('once')
    const before = await sentBytes(outside)
    await Promise.all(nodes.map((node) => expectBlob(node, layer)))
    for (const node of nodes) await expectBlob(node, layer)
    expect((await sentBytes(outside)) - before).toBeLessThan(layer.bytes.length * 1.05)
    expect(
      upstream.requests.filter(({ path }) => layer.path.endsWith(path.slice(path.lastIndexOf('/')))).length,
    ).toBe(1)
  })

  test('sends hardly more than a blob when the host that fetches it is killed half-way', async () => {
    const layer = await newLayer('killed')
    await network.shape(outside, slowMegabits)
    const before = await sentBytes(outside)
    const pulls = Promise.allSettled(nodes.map((node) => expectBlob(node, layer)))
    let fetcher: ClusterNode | undefined
    await until('half of it to come from outside', async () => {
      const fetched = await Promise.all(nodes.map(fetchedBytes))
      fetcher = nodes.find((_, at) => (fetched[at] ?? 0) > layerBytes / 2)
      return fetcher !== undefined
    })
    await fetcher?.kill()
    const results = await pulls
    for (const [at, node] of nodes.entries()) {
      expect(results[at]?.status).toBe(node === fetcher ? 'rejected' : 'fulfilled')
    }
    expect((await sentBytes(outside)) - before).toBeLessThan(layer.bytes.length * 1.3)
  })
})

/** What the host has put on the line. */
async function sentBytes(host: NetworkHost): Promise<number> {
  const { command, args } = host.command('cat', ['/proc/self/net/dev'])
  const { stdout } = await run(command, args)
  const fields = /^\s*eth0:(.*)$/m.exec(stdout)?.[1]?.trim().split(/\s+/) ?? []
  return Number(fields[8])
}

async function fetchedBytes(node: ClusterNode): Promise<number> {
  const { body } = await node.client.ask('GET', '/metrics')
  return Number(/^shoal_upstream_received_bytes_total\{[^}]*\} (\d+)/m.exec(body.toString())?.[1] ?? 0)
}
