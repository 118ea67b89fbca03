/** A node that was away while many tags changed, and how soon after its return it knows them. */
import path from 'node:path'
import type { Measurement } from '../bench.ts'
import { makeManifest, pushConfig, putTags, tagNames } from '../names.ts'
import { openCluster, until } from '../nodes.ts'

const repository = 'bench/away'

export const away: Measurement = {
  name: 'away',
  async run(bench) {
    const folder = path.join(bench.root, 'away')
    await using cluster = await openCluster({ folder, size: bench.size })
    const [pusher] = cluster.nodes
    const traveller = cluster.nodes.at(-1)
    if (pusher === undefined || traveller === undefined) return []
    const tags = tagNames(bench.changes)
    await pushConfig(pusher, repository)
    bench.say(`${tags.length} tags, and one node that leaves while they move`)
    await putTags(pusher, repository, tags, makeManifest('before'))
    const knows = async (manifest: { digest: string }) => {
      if ((await traveller.learned()) < tags.length) return false
      const known = await traveller.tags(repository)
      return known.size === tags.length && [...known.values()].every((digest) => digest === manifest.digest)
    }
    const spread = await until('the first tags', () => knows(makeManifest('before')), 120_000, 100)
    bench.say(`the tags were everywhere ${spread.toFixed(0)} ms after the last was pushed`)
    await traveller.stop()
    await putTags(pusher, repository, tags, makeManifest('after'))
    await traveller.start()
    const ready = performance.now() - traveller.spawnedAt
    await until('the node to catch up', () => knows(makeManifest('after')), 120_000, 100)
    const value = (performance.now() - traveller.spawnedAt) / 1000
    bench.say(`ready ${ready.toFixed(0)} ms after its spawn`)
    const what = `up to date after ${tags.length} tags changed, from its spawn`
    return [{ what, unit: 's', value, atMost: 5 }]
  },
}
