/** Tags that every host asks for at once, cold, and then again while they are fresh. */
import type { Measurement } from '../../swarm/bench.ts'
import { openSite, type Site } from '../site.ts'

const most = 50
const layerBytes = 16 * 1024

export const tags: Measurement = {
  name: 'tags',
  namespaces: true,
  async run(bench) {
    await using site = await openSite(bench, 'tags')
    const count = Math.max(5, Math.round(most * bench.scale))
    const names = Array.from({ length: count }, (_, number) => `tag-${number}`)
    for (const name of names) await site.publish(name, layerBytes)
    const [cold, fresh] = [await requestsOf(site, names), await requestsOf(site, names)]
    const what = `${bench.cold} hosts ask for ${count} tags`
    return [
      { what: `${what}: manifest requests upstream`, unit: '', values: [cold], reach: { atMost: count } },
      { what: `${what} again: manifest requests upstream`, unit: '', values: [fresh], reach: { atMost: 0 } },
    ]
  },
}

/** How many requests the upstream sees while all hosts ask for all tags. */
async function requestsOf(site: Site, names: readonly string[]): Promise<number> {
  const before = site.upstream.requests.length
  for (const name of names) {
    await Promise.all(site.nodes.map((node) => node.expect(200, `${site.manifests}/${name}`)))
  }
  const asked = site.upstream.requests.slice(before)
  return asked.filter(({ path, status }) => path.includes('/manifests/') && status !== 401).length
}
