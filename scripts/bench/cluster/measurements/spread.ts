/** From the acknowledgement of a push at one node to its resolving at each of the others. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { percentile } from '../../statistics.ts'
import type { Figure, Measurement } from '../bench.ts'
import { makeManifest, pushConfig, putManifest } from '../names.ts'
import { type Node, openCluster } from '../nodes.ts'
import { processorSeconds } from '../usage.ts'

const repository = 'bench/spread'
const rounds = 100
const pollMs = 10
/** How long what a push sets off, such as announcements, may take before the next one is timed. */
const restMs = 500
const deadlineMs = 20_000

export const spread: Measurement = {
  name: 'spread',
  async run(bench) {
    const folder = path.join(bench.root, 'spread')
    await using cluster = await openCluster({ folder, size: bench.size })
    for (const node of cluster.nodes) await pushConfig(node, repository)
    bench.say(`${rounds} new tags, then one tag moved ${rounds} times, among ${bench.size} nodes`)
    const used = await processorTime(cluster.nodes)
    const created = await measure(cluster.nodes, (round) => `new-${round}`)
    const moved = await measure(cluster.nodes, () => 'moved')
    const value = (((await processorTime(cluster.nodes)) - used) * 1000) / (2 * rounds)
    const cost = { what: 'processor time of a push and its resolving, all nodes together', unit: 'ms', value }
    return [...figures('new tag', created), ...figures('moved tag', moved), cost]
  },
}

async function processorTime(nodes: Node[]): Promise<number> {
  const times = await Promise.all(nodes.map(({ pid }) => processorSeconds(pid)))
  return times.reduce((sum, seconds) => sum + seconds, 0)
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
    await delay(restMs)
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
