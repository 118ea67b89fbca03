/** An upstream that is cut off, and one that takes connections and never answers: what is here must not notice. */
import { runCommand } from '../../command.ts'
import { median, percentile } from '../../statistics.ts'
import type { Measurement, SwarmBench } from '../../swarm/bench.ts'
import { openSite, type Site } from '../site.ts'

const pulls = 1000
const layerBytes = 64 * 1024
const layers = 20

/** The more, the less one hiccup of the machine says: the p99 of a thousand pulls is the tenth slowest of them. */
const leastTurns = 7

export const cut: Measurement = {
  name: 'cut',
  namespaces: true,
  async run(bench) {
    await using site = await openSite(bench, 'cut')
    const paths = await seen(site)
    const [there, away]: [Pulls[], Pulls[]] = [[], []]
    // A node that does this for the first time compiles it meanwhile.
    await pullMany(site, paths, bench)
    const turns = Math.max(leastTurns, bench.reps)
    for (let turn = 0; turn < turns; turn++) {
      const isCut = turn % 2 === 1
      // Each turn begins as the one before ended, so that what drifts is not taken for what is measured.
      for (const cutNow of [isCut, !isCut]) {
        if (cutNow) await site.upstream.stop()
        const pulls = await pullMany(site, paths, bench)
        if (cutNow) await site.upstream.start()
        const list = cutNow ? away : there
        list.push(pulls)
      }
    }
    const what = 'the upstream is cut off'
    const p99 = ({ ms }: Pulls): number => percentile(ms, 0.99)
    return [
      {
        what: `${what}: pulls of what was seen that succeed`,
        unit: `of ${count(bench)}`,
        values: away.map(({ succeeded }) => succeeded),
        reach: { atLeast: count(bench) },
      },
      { what: 'p99 of a pull of what was seen, before', unit: 'ms', values: there.map(p99) },
      { what: `${what}: p99 of a pull`, unit: 'ms', values: away.map(p99) },
      {
        what: `${what}: median p99, beside before`,
        unit: '×',
        values: [median(away.map(p99)) / median(there.map(p99))],
        reach: { atMost: 1.2 },
      },
    ]
  },
}

interface Pulls {
  ms: number[]
  succeeded: number
}

export const hangs: Measurement = {
  name: 'hangs',
  namespaces: true,
  async run(bench) {
    await using site = await openSite(bench, 'hangs')
    const paths = await seen(site)
    const before = await pullMany(site, paths, bench)
    const hanging = await openHang(site, bench)
    const misses: number[] = []
    const slowest: number[] = []
    try {
      for (let turn = 0; turn < bench.reps; turn++) {
        const [node] = site.nodes
        if (node === undefined) throw new RangeError('a site without nodes')
        const digest = `sha256:${turn.toString(16).padStart(64, '0')}`
        const startedAt = performance.now()
        const missing = node.get(`/v2/upstream.test/public/image/blobs/${digest}`)
        const held = await pullMany(site, paths, bench)
        slowest.push(Math.max(...held.ms))
        const { status } = await missing
        if (status < 500) throw new RangeError(`a miss was answered with ${status}`)
        misses.push((performance.now() - startedAt) / 1000)
      }
    } finally {
      await hanging[Symbol.asyncDispose]()
    }
    const what = 'the upstream hangs'
    return [
      { what: 'slowest pull of what was seen, before', unit: 'ms', values: [Math.max(...before.ms)] },
      { what: `${what}: slowest pull of what was seen`, unit: 'ms', values: slowest },
      { what: `${what}: a miss fails after`, unit: 's', values: misses, reach: { atMost: 5 } },
    ]
  },
}

/** What every member holds, as a client asks for it: a tag, then its layer. */
interface Seen {
  manifest: string
  layer: string
}

async function seen(site: Site): Promise<Seen[]> {
  const found: Seen[] = []
  for (let at = 0; at < layers; at++) {
    const tag = `seen-${at}`
    const { path: layer } = await site.publish(tag, layerBytes)
    const manifest = `${site.manifests}/${tag}`
    for (const node of site.nodes) {
      await node.expect(200, manifest)
      await node.expect(200, layer)
    }
    found.push({ manifest, layer })
  }
  return found
}

function count({ scale }: SwarmBench): number {
  return Math.max(20, Math.round(pulls * scale))
}

async function pullMany(site: Site, images: readonly Seen[], bench: SwarmBench): Promise<Pulls> {
  const ms: number[] = []
  let succeeded = 0
  for (let at = 0; at < count(bench); at++) {
    const node = site.nodes[at % site.nodes.length]
    const image = images[at % images.length]
    if (node === undefined || image === undefined) throw new RangeError('nothing to pull')
    const startedAt = performance.now()
    const answers = [await node.get(image.manifest), await node.get(image.layer)]
    ms.push(performance.now() - startedAt)
    if (answers.every(({ status }) => status === 200)) succeeded++
  }
  return { ms, succeeded }
}

/** Its sockets take connections as before, and nobody answers. */
async function openHang({ outside }: Site, { signal }: SwarmBench): Promise<AsyncDisposable> {
  const { stdout } = await runCommand('ip', ['netns', 'pids', outside.name], { signal })
  const pids = stdout.trim().split('\n').map(Number)
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  return {
    async [Symbol.asyncDispose]() {
      for (const pid of pids) process.kill(pid, 'SIGCONT')
    },
  }
}
