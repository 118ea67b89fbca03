/** Four members cut apart from four for an hour, as the tests play it: a cluster without a network, whose clock this file turns. */
import { PlacedCluster, type PlacedNode, repository } from '../../../../test/placement/cluster.ts'
import type { Measurement } from '../../swarm/bench.ts'

const members = 8
const minute = 60_000
const hour = 60 * minute

export const cut: Measurement = {
  name: 'cut',
  async run({ scale, signal, say }) {
    const cluster = await new PlacedCluster(members).start()
    await cluster.pass(2 * minute)
    const count = Math.max(members, Math.round(400 * scale))
    const digests = Array.from({ length: count }, (_, at) => {
      return cluster.push(cluster.nodes[at % members] as PlacedNode).digest
    })
    await cluster.pass(5 * minute)
    const copiesOf = (): number[] => digests.map((digest) => cluster.holders(digest).length)
    const before = cluster.receivedBytes
    for (const node of cluster.nodes.slice(members / 2)) node.side = 1
    await cluster.pass(hour)
    for (const node of cluster.nodes) node.side = 0
    cluster.spread()
    await cluster.pass(hour)
    const moved = cluster.receivedBytes - before
    const held = copiesOf()
    let dropped = 0
    for (const node of cluster.nodes) {
      for (const digest of digests.filter((one) => node.held.has(one))) {
        const asked = { budget: { leftMs: 5_000 }, signal }
        const mayGo = await node.runner?.placer.promises.mayLetGo({ repository, digest }, asked)
        if (mayGo !== true) continue
        node.held.delete(digest)
        dropped++
      }
    }
    const surplus = held.reduce((sum, copies) => sum + copies - 2, 0)
    say(`cut: ${dropped} of ${surplus} surplus copies dropped when room was wanted after it`)
    const what = `${members / 2} and ${members / 2} cut apart for an hour, ${count} images`
    return [
      { what: `${what}: moved`, unit: 'bytes', values: [moved], reach: { atMost: 0 } },
      {
        what: 'fewest copies of any, surplus dropped',
        unit: 'copies',
        values: [Math.min(...copiesOf())],
        reach: { atLeast: 2 },
      },
    ]
  },
}
