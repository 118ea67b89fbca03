/** Honest members as the daemon makes them, in this process and on loopback, for hostile ones to try themselves on. */
import { join } from 'node:path'
import { type ClusterMember, openMember } from '../../node/cluster/cluster.ts'
import { openNodeMirror } from '../../node/cluster/mirror.ts'
import { type LocalNode, openLocalNode } from '../../node/local-node.ts'
import { readSettings } from '../../node/settings/settings.ts'
import { type Logger, type Metrics, noMetrics, silentLogger } from '../../src/base/base.ts'
import type { Ledger } from '../../src/records/records.ts'
import { nowhere } from '../../src/registry/registry.ts'
import { tokenOf } from '../../src/swarm/swarm.ts'
import { openUpstreams } from '../../src/upstream/upstream.ts'
import { temporaryFolder, until } from '../swarm/fixture.ts'

export interface HonestNode {
  readonly node: LocalNode
  readonly member: ClusterMember
  readonly names: Ledger
  readonly peer: string
  /** A multiaddr with its peer id. */
  readonly address: string
  /** Peer ids of the members it is connected with. */
  peers(): string[]
  /** What it has counted under a metric's name, of the series that have all of `labels`. */
  counted(name: string, labels?: Record<string, string>): number
  /** How many claims to hold something its part of the DHT keeps. */
  claims(): Promise<number>
}

export async function openHonestNode(
  stack: AsyncDisposableStack,
  {
    join: first,
    token,
    logger = silentLogger,
    flags: more = [],
    ...given
  }: { join?: HonestNode; token?: string; logger?: Logger; data?: string; flags?: string[] } = {},
): Promise<HonestNode> {
  const data = given.data ?? join(await temporaryFolder(stack), 'data')
  const flags = ['--data', data, '--p2p', '127.0.0.1:0', '--no-mdns', ...more]
  if (token !== undefined) flags.push('--join', token)
  if (first !== undefined) flags.push('--join', tokenOf(first.node.membership.cluster, [first.address]))
  const { settings } = readSettings(flags, {})
  const counts: { name: string; labels: Record<string, string>; by: number }[] = []
  const metrics: Metrics = {
    ...noMetrics,
    count: (name, labels = {}, by = 1) => void counts.push({ name, labels, by }),
  }
  const node = stack.use(await openLocalNode({ settings, logger, metrics, create: true }))
  const upstreams = stack.use(await openUpstreams({ upstreams: [] }))
  const mirror = openNodeMirror(node, { upstreams, elsewhere: nowhere, logger })
  const member = stack.use(
    await openMember(
      node,
      mirror,
      { heard: () => undefined },
      { get: async () => ({ problems: [] }) },
      logger,
      metrics,
    ),
  )
  return {
    node,
    member,
    names: node.names,
    peer: member.swarm.peerId,
    address: member.swarm.addresses()[0] ?? '',
    peers: () => member.swarm.members.peers(),
    counted: (name, labels = {}) =>
      counts
        .filter((entry) => entry.name === name)
        .filter((entry) => Object.entries(labels).every(([label, value]) => entry.labels[label] === value))
        .reduce((sum, { by }) => sum + by, 0),
    claims: async () =>
      (await node.swarmTable.keys({ gte: '/dht/provider/', lt: '/dht/provider0' }).all()).length,
  }
}

/** A cluster of so many, each connected with all others. */
export async function openHonestCluster(stack: AsyncDisposableStack, count: number): Promise<HonestNode[]> {
  const first = await openHonestNode(stack)
  const nodes = [first]
  while (nodes.length < count) nodes.push(await openHonestNode(stack, { join: first }))
  await until('a full mesh', () => nodes.every((node) => node.peers().length >= count - 1))
  return nodes
}
