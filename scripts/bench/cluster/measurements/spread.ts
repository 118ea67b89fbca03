/** From the acknowledgement of a push at one node to its resolving at each of the others. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { percentile } from '../../statistics.ts'
import type { Figure, Measurement } from '../bench.ts'
import { makeManifest, pushConfig, putManifest } from '../names.ts'
import { type Node, openCluster } from '../nodes.ts'

const repository = 'bench/spread'
const rounds = 100
const pollMs = 2
const deadlineMs = 20_000

export const spread: Measurement = {
  name: 'spread',
  async run(bench) {
    const folder = path.join(bench.root, 'spread')
    await using cluster = await openCluster({ folder, size: bench.size })
    for (const node of cluster.nodes) await pushConfig(node, repository)
    bench.say(`${rounds} new tags, then one tag moved ${rounds} times, among ${bench.size} nodes`)
    return [
      ...figures('new tag', await measure(cluster.nodes, (round) => `new-${round}`)),
      ...figures('moved tag', await measure(cluster.nodes, () => 'moved')),
    ]
  },
}

async function measure(nodes: Node[], tagOf: (round: number) => string): Promise<number[]> {
  const samples: number[] = []
  for (let round = 0; round < rounds; round++) {
    const pusher = nodes[round % nodes.length]
    if (pusher === undefined) break
    const manifest = makeManifest(`${tagOf(round)} ${round}`)
    await putManifest(pusher, repository, tagOf(round), manifest)
    const acknowledged = performance.now()
    const others = nodes.filter((node) => node !== pusher)
    await Promise.all(
      others.map(async (node) => {
        await resolves(node, tagOf(round), manifest.digest, acknowledged)
        samples.push(performance.now() - acknowledged)
      }),
    )
  }
  return samples
}

async function resolves(node: Node, tag: string, digest: string, since: number): Promise<void> {
  while (performance.now() - since < deadlineMs) {
    const { headers } = await node.get(`/v2/${repository}/manifests/${tag}`)
    if (headers['docker-content-digest'] === digest) return
    await delay(pollMs)
  }
  throw new Error(`${tag} did not resolve within ${deadlineMs} ms`)
}

function figures(what: string, samples: number[]): Figure[] {
  return [
    { what: `${what} resolves elsewhere, p50`, unit: 'ms', value: percentile(samples, 0.5), atMost: 50 },
    { what: `${what} resolves elsewhere, p99`, unit: 'ms', value: percentile(samples, 0.99), atMost: 500 },
  ]
}
