/** Two halves of a cluster that both move the same tags while they are cut apart, and how soon they agree afterwards. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openNetwork } from '../../../../test/netns/network.ts'
import type { Measurement } from '../bench.ts'
import { makeManifest, pushConfig, putTags, tagNames } from '../names.ts'
import { isMesh, type Node, openCluster, until } from '../nodes.ts'

const repository = 'bench/heal'
const tagCount = 500
const pauseMs = 500

export const heal: Measurement = {
  name: 'heal',
  namespaces: true,
  async run(bench) {
    await using network = await openNetwork(bench.size)
    const { hosts } = network
    const folder = path.join(bench.root, 'heal')
    await using cluster = await openCluster({ folder, size: bench.size, hosts })
    const { nodes } = cluster
    const tags = tagNames(tagCount)
    const half = Math.floor(nodes.length / 2)
    const halves = [nodes.slice(0, half), nodes.slice(half)]
    for (const node of nodes) await pushConfig(node, repository)
    bench.say(`cutting ${nodes.length} nodes apart for ${bench.cutMs / 1000} s`)
    await network.partition(hosts.slice(0, half), hosts.slice(half))
    const cut = performance.now()
    for (let round = 0; performance.now() - cut < bench.cutMs; round++) {
      for (const [side, group] of halves.entries()) {
        const node = group[round % group.length]
        const some = tags.filter((_, index) => (index + round) % 5 === 0)
        if (node !== undefined) await putTags(node, repository, some, makeManifest(`side ${side}`))
      }
      await delay(pauseMs)
    }
    const [one, other] = [nodes[0], nodes.at(-1)]
    const differing = one && other ? await countDifferent(one, other) : 0
    await network.heal()
    const same = await until('the same tags everywhere', () => agree(nodes), 120_000)
    const connected = await until('all to be connected', () => isMesh(nodes), 60_000)
    bench.say(
      `${differing} tags differed when it ended; all connected ${connected.toFixed(0)} ms after agreement`,
    )
    return [{ what: 'same tags everywhere after a partition', unit: 's', value: same / 1000, atMost: 10 }]
  },
}

async function countDifferent(one: Node, other: Node): Promise<number> {
  const [ours, theirs] = [await one.tags(repository), await other.tags(repository)]
  return [...ours].filter(([tag, digest]) => theirs.get(tag) !== digest).length
}

async function agree(nodes: Node[]): Promise<boolean> {
  const [first, ...rest] = nodes
  if (first === undefined) return true
  const expected = JSON.stringify([...(await first.tags(repository))])
  for (const node of rest) {
    if (JSON.stringify([...(await node.tags(repository))]) !== expected) return false
  }
  return true
}
