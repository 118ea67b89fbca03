/** Cold hosts that want one image of an upstream at once; then the same with the host that fetches it killed half-way. */
import { until } from '../../cluster/nodes.ts'
import type { Measurement, SwarmBench } from '../../swarm/bench.ts'
import type { Curve } from '../../swarm/curves.ts'
import { leastMs, type Member, nodeUrl, observe, scaled } from '../../swarm/herd.ts'
import { pullAtOnce } from '../../swarm/pull.ts'
import { faultText } from '../../swarm/traffic.ts'
import { fetchedBytes, type Layer, openSite, type Site, sentBytes } from '../site.ts'

const megabytes = 64

export const cold: Measurement = {
  name: 'cold',
  namespaces: true,
  async run(bench) {
    await using site = await openSite(bench, 'cold')
    const [copies, slowest, given, busy]: [number[], number[], number[], number[]] = [[], [], [], []]
    for (let turn = 0; turn < bench.reps; turn++) {
      const layer = await site.publish(`cold-${turn}`, scaled(bench, megabytes))
      const before = await sentBytes(site.outside, bench)
      const pulled = await pullBy(site.members, layer, site, bench)
      copies.push(((await sentBytes(site.outside, bench)) - before) / layer.size)
      slowest.push(Math.max(...pulled.ends) / leastMs(layer.size, bench.megabits))
      given.push(pulled.givenCopies)
      busy.push(pulled.busy * 100)
    }
    await bench.memory.note(site.nodes)
    const what = `${bench.cold} cold hosts, one image of ${megabytes} MiB`
    return [
      { what: `${what}: upstream sends`, unit: 'copies', values: copies, reach: { atMost: 1.05 } },
      { what: `${what}: slowest host`, unit: '× size/bandwidth', values: slowest, reach: { atMost: 1.5 } },
      { what: `${what}: the member that fetches sends`, unit: 'copies', values: given },
      { what: `${what}: processors busy, whole machine`, unit: '%', values: busy },
    ]
  },
}

export const fetcherKilled: Measurement = {
  name: 'fetcher-killed',
  namespaces: true,
  async run(bench) {
    const [copies, slowest]: [number[], number[]] = [[], []]
    for (let turn = 0; turn < bench.reps; turn++) {
      await using site = await openSite(bench, `fetcher-killed-${turn}`)
      // Whoever fetches does so for others: a client of its own would die with it.
      const layer = await site.publish(`killed-${turn}`, scaled(bench, megabytes))
      const before = await sentBytes(site.outside, bench)
      const ends = await pullAndKill(site, layer, bench)
      copies.push(((await sentBytes(site.outside, bench)) - before) / layer.size)
      slowest.push(Math.max(...ends) / leastMs(layer.size, bench.megabits))
    }
    const what = 'the fetching member is killed half-way'
    return [
      { what: `${what}: upstream sends`, unit: 'copies', values: copies, reach: { atMost: 1.3 } },
      { what: `${what}: slowest other host`, unit: '× size/bandwidth', values: slowest },
    ]
  },
}

interface Pulled {
  ends: number[]
  /** By the member that fetched. */
  givenCopies: number
  /** Of all processors, 0 to 1. */
  busy: number
}

async function pullBy(
  members: readonly Member[],
  layer: Layer,
  site: Site,
  bench: SwarmBench,
): Promise<Pulled> {
  const urls = members.map(({ host }) => ({ url: nodeUrl + layer.path, host }))
  const fetched = (): Promise<number[]> => Promise.all(members.map(({ node }) => fetchedBytes(node)))
  const before = await fetched()
  const { result, traffic, use } = await observe(bench, site.nodes, () =>
    pullAtOnce(urls, { size: layer.size }, bench),
  )
  const brought = (await fetched()).map((bytes, at) => bytes - (before[at] ?? 0))
  const fetcher = brought.indexOf(Math.max(...brought))
  const least = leastMs(layer.size, bench.megabits)
  const times = result.map(
    ({ curve }, at) => `${at === fetcher ? 'fetcher ' : ''}${quarters(curve, layer.size, least)}`,
  )
  const copies = traffic.map((each) => each.sentBytes / layer.size)
  bench.say(`quarters of the blob, in size/bandwidth: ${times.join(', ')}`)
  bench.say(`members sent ${copies.map((count) => count.toFixed(2)).join(' ')} copies, ${faultText(traffic)}`)
  return { ends: result.map(({ endMs }) => endMs), givenCopies: copies[fetcher] ?? 0, busy: use.busy }
}

/** When a client had each quarter. */
function quarters(curve: Curve, size: number, least: number): string {
  return [0.25, 0.5, 0.75, 1]
    .map((share) => curve.find(({ bytes }) => bytes >= share * size)?.atMs ?? Number.NaN)
    .map((ms) => (ms / least).toFixed(2))
    .join(' ')
}

async function pullAndKill(site: Site, layer: Layer, bench: SwarmBench): Promise<number[]> {
  const [asker, ...others] = site.members
  if (asker === undefined) throw new RangeError('a site without members')
  // One asks first, so that it is known who fetches before its clients could be in the way.
  const first = Promise.allSettled([
    pullAtOnce([{ url: nodeUrl + layer.path, host: asker.host }], { size: layer.size }, bench),
  ])
  let fetcher: Member | undefined
  await until(
    'someone to fetch it',
    async () => {
      for (const member of site.members) if ((await fetchedBytes(member.node)) > 0) fetcher = member
      return fetcher !== undefined
    },
    30_000,
  )
  const rest = others.filter((member) => member !== fetcher)
  const pulls = pullAtOnce(
    rest.map(({ host }) => ({ url: nodeUrl + layer.path, host })),
    { size: layer.size },
    bench,
  )
  await until(
    'half of it to be fetched',
    async () => fetcher !== undefined && (await fetchedBytes(fetcher.node)) > layer.size / 2,
    60_000,
  )
  if (fetcher !== undefined) process.kill(fetcher.node.pid, 'SIGKILL')
  const ends = (await pulls).map(({ endMs }) => endMs)
  const [pulled] = await first
  if (pulled.status === 'fulfilled') ends.push(...pulled.value.map(({ endMs }) => endMs))
  else if (fetcher !== asker) throw pulled.reason
  return ends
}
