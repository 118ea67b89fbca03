/** A new node that joins a cluster with many tags: how soon it lists them all, and what it takes of memory meanwhile. */
import path from 'node:path'
import { peakMiB } from '../../resident.ts'
import type { Measurement } from '../bench.ts'
import { copyMember, seedNode, tagNames } from '../names.ts'
import { type Node, openCluster, openNode, until } from '../nodes.ts'

const repository = 'bench/join'

export const join: Measurement = {
  name: 'join',
  async run(bench) {
    const folder = path.join(bench.root, 'join')
    const tags = tagNames(bench.names)
    bench.say(`${tags.length} tags on ${bench.size - 1} nodes`)
    const seed = path.join(folder, 'seed')
    await seedNode(seed, repository, tags)
    await using cluster = await openCluster({
      folder,
      size: bench.size - 1,
      prepare: (place) => copyMember(seed, place),
    })
    const token = await cluster.nodes[0]?.token()
    await using newcomer = await openNode({
      folder: path.join(folder, 'new'),
      flags: ['--join', token ?? ''],
    })
    const listsAll = async () =>
      (await newcomer.learned()) >= tags.length && (await listAll(newcomer, tags.length)) === tags.length
    await until('all tags', listsAll, 300_000, 200)
    const seconds = (performance.now() - newcomer.spawnedAt) / 1000
    const peak = await peakMiB(newcomer.pid)
    const what = `new node lists ${tags.length} tags`
    return [
      { what, unit: 's', value: seconds, atMost: 30 },
      { what: `${what}, peak memory`, unit: 'MiB', value: peak, atMost: 300 },
    ]
  },
}

/** As a client pages through the list; a page that is not full yet ends it. */
async function listAll(node: Node, expected: number): Promise<number> {
  let count = 0
  let next: string | undefined = `/v2/${repository}/tags/list?n=1000`
  while (next !== undefined && count < expected) {
    const { status, headers, body } = await node.get(next)
    if (status !== 200) return count
    count += (JSON.parse(body.toString()) as { tags: string[] }).tags.length
    next = /<([^>]+)>/.exec(headers.link?.toString() ?? '')?.[1]
  }
  return count
}
