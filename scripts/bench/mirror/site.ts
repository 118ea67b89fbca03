/** A site behind one line: an upstream with a token server on a host of its own, and a cluster that mirrors it. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { makeImage } from '../../../test/e2e/image.ts'
import { openUpstreamRegistry, type UpstreamRegistry } from '../../../test/e2e/upstream-registry.ts'
import { type Network, type NetworkHost, openNetwork } from '../../../test/netns/network.ts'
import { type Node, openCluster, until } from '../cluster/nodes.ts'
import { runCommand } from '../command.ts'
import type { SwarmBench } from '../swarm/bench.ts'
import type { Member } from '../swarm/herd.ts'

export interface Site extends AsyncDisposable {
  readonly upstream: UpstreamRegistry
  readonly outside: NetworkHost
  readonly network: Network
  readonly members: readonly Member[]
  readonly nodes: readonly Node[]
  /** Where a node has the manifests of what is published, by tag. */
  readonly manifests: string
  /** Puts an image with one layer of about so many bytes into the upstream. */
  publish(seed: string, bytes: number): Promise<Layer>
}

export interface Layer {
  readonly digest: string
  readonly size: number
  /** At a node. */
  readonly path: string
  /** At the upstream. */
  readonly pathThere: string
}

export const upstreamName = 'upstream.test'
/** Anyone may read what is public, with a token. */
const repository = 'public/image'

export async function openSite(bench: SwarmBench, name: string): Promise<Site> {
  const { cold: size, megabits, signal } = bench
  bench.say(`${name}: starting an upstream and ${size} nodes`)
  await using stack = new AsyncDisposableStack()
  const network = stack.use<Network>(await openNetwork(size + 1))
  const [outside, ...hosts] = network.hosts
  if (outside === undefined) throw new RangeError('no host for the upstream')
  const upstream = stack.use(await openUpstreamRegistry({ auth: 'token', at: outside }))
  const flags = ['--upstream', `${upstreamName}=${upstream.url}`]
  const { nodes } = stack.use(await openCluster({ folder: path.join(bench.root, name), size, hosts, flags }))
  for (const host of network.hosts) await network.shape(host, megabits)
  await runCommand('sync', [], { signal })
  const members = nodes.flatMap((node, index) => {
    const host = hosts[index]
    return host === undefined ? [] : [{ node, host }]
  })
  const owned = stack.move()
  return {
    upstream,
    outside,
    network,
    members,
    nodes,
    manifests: `/v2/${upstreamName}/${repository}/manifests`,
    async publish(seed, bytes) {
      const image = makeImage({ seed, layerBytes: [bytes] })
      await upstream.push(repository, seed, image)
      const [layer] = image.layers
      if (layer === undefined) throw new RangeError('an image without a layer')
      const { digest } = layer.descriptor
      const pathThere = `/v2/${repository}/blobs/${digest}`
      return {
        digest,
        size: layer.bytes.length,
        path: `/v2/${upstreamName}/${repository}/blobs/${digest}`,
        pathThere,
      }
    },
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

/** Bytes that the host has put on its line. */
export async function sentBytes(host: NetworkHost, { signal }: { signal: AbortSignal }): Promise<number> {
  const { command, args } = host.command('cat', ['/proc/self/net/dev'])
  const { stdout } = await runCommand(command, args, { signal })
  const fields = /^\s*eth0:(.*)$/m.exec(stdout)?.[1]?.trim().split(/\s+/) ?? []
  return Number(fields[8])
}

/** What the node has received from its upstreams. */
export async function fetchedBytes(node: Node): Promise<number> {
  const { body } = await node.get('/metrics')
  return Number(/^shoal_upstream_received_bytes_total\{[^}]*\} (\d+)/m.exec(body.toString())?.[1] ?? 0)
}

const stillMs = 150
const stillDeadlineMs = 60_000
/** What members say to each other when nothing moves. */
const idleBytes = 16 * 1024

/** Until no node has a blob on its way, and the upstream's line is empty: what was asked before must not be in the way of what is measured. */
export async function untilStill(
  { nodes, outside }: Site,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  let sent = await sentBytes(outside, { signal })
  await until(
    'nothing to move',
    async () => {
      await delay(stillMs, undefined, { signal })
      const before = sent
      sent = await sentBytes(outside, { signal })
      const moving = await Promise.all(nodes.map(transfers))
      return sent - before < idleBytes && moving.every((count) => count === 0)
    },
    stillDeadlineMs,
  )
}

/** Blobs on their way to the node. */
async function transfers(node: Node): Promise<number> {
  const { body } = await node.get('/metrics')
  return Number(/^shoal_exchange_transfers (\d+)/m.exec(body.toString())?.[1] ?? Number.NaN)
}
