/** Two sites of four hosts, with a narrow link between them, whose nodes all pull one blob at once. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pushBlob } from '../e2e/client.ts'
import { content, seededBytes } from '../e2e/image.ts'
import { showOutputOnFailure } from '../e2e/process.ts'
import { requires } from '../e2e/requirement.ts'
import { until } from '../swarm/fixture.ts'
import { type ClusterNode, isMesh, openClusterNodes } from './cluster-node.ts'
import { type Network, networkNeeds, openNetwork } from './network.ts'

const hosts = 8
const withinMbps = 50
const betweenMbps = 5
const blobBytes = 5_000_000

describe('two sites', requires(...networkNeeds), () => {
  const stack = new AsyncDisposableStack()
  let network: Network
  let nodes: ClusterNode[] = []

  beforeAll(async () => {
    network = stack.use(await openNetwork(hosts, { betweenMbps }))
    const siteOf = (index: number): string[] => ['--site', index < hosts / 2 ? 'one' : 'other']
    nodes = await openClusterNodes(network.hosts, stack, ['--no-mdns'], siteOf)
    await until('the nodes to meet', () => isMesh(nodes), 60_000)
    const areTold = async (): Promise<boolean> => {
      const told = await Promise.all(nodes.map((node) => node.sites()))
      return told.every((sites) => sites.filter((site) => site !== undefined).length === hosts - 1)
    }
    await until('the nodes to know where each is', areTold, 60_000)
    for (const host of network.hosts) await network.shape(host, withinMbps)
  }, 120_000)
  afterAll(async () => await stack.disposeAsync(), 60_000)
  showOutputOnFailure(() => nodes)

  test('bring a blob over the link between them about once, and to everyone', async () => {
    const [holder, ...others] = nodes
    if (holder === undefined) throw new Error('no holder')
    const blob = content('application/octet-stream', seededBytes('two sites', blobBytes))
    const { digest } = blob.descriptor
    await pushBlob(holder.client, 'team/sites', blob)
    const before = await network.crossed()

    const answers = await Promise.all(
      others.map((node) => node.client.ask('GET', `/v2/team/sites/blobs/${digest}`)),
    )

    for (const { status, body } of answers) {
      expect(status).toBe(200)
      expect(`sha256:${createHash('sha256').update(body).digest('hex')}`).toBe(digest)
    }
    // Headers and what nodes say to each other are nearly a tenth of it.
    const after = await network.crossed()
    expect((after.intoBytes - before.intoBytes) / blobBytes).toBeLessThan(1.3)
  })
})
