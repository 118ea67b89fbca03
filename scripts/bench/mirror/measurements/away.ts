/** An upstream that is cut off, and one that takes connections and never answers: what is here must not notice. */
import { runCommand } from '../../command.ts'
import { percentile } from '../../statistics.ts'
import type { Measurement, SwarmBench } from '../../swarm/bench.ts'
import { openSite, type Site } from '../site.ts'

const pulls = 1000
const layerBytes = 64 * 1024
const layers = 20

export const cut: Measurement = {
  name: 'cut',
  namespaces: true,
  async run(bench) {
    await using site = await openSite(bench, 'cut')
    const paths = await seen(site)
    const ratios: number[] = []
    const succeeded: number[] = []
    for (let turn = 0; turn < bench.reps; turn++) {
      const before = await pullMany(site, paths, bench)
      await site.upstream.stop()
      const after = await pullMany(site, paths, bench)
      await site.upstream.start()
      ratios.push(percentile(after.ms, 0.99) / percentile(before.ms, 0.99))
      succeeded.push(after.succeeded)
    }
    const what = 'the upstream is cut off'
    return [
      {
        what: `${what}: pulls of what was seen that succeed`,
        unit: `of ${count(bench)}`,
        values: succeeded,
        reach: { atLeast: count(bench) },
      },
      { what: `${what}: their p99, beside before`, unit: '×', values: ratios, reach: { atMost: 1.2 } },
    ]
  },
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

/** Content that some members hold: each pulled through one of them. */
async function seen(site: Site): Promise<string[]> {
  const paths: string[] = []
  for (let at = 0; at < layers; at++) {
    const { path } = await site.publish(`seen-${at}`, layerBytes)
    for (const node of site.nodes) await node.expect(200, path)
    paths.push(path)
  }
  return paths
}

function count({ scale }: SwarmBench): number {
  return Math.max(20, Math.round(pulls * scale))
}

async function pullMany(
  site: Site,
  paths: readonly string[],
  bench: SwarmBench,
): Promise<{ ms: number[]; succeeded: number }> {
  const ms: number[] = []
  let succeeded = 0
  for (let at = 0; at < count(bench); at++) {
    const node = site.nodes[at % site.nodes.length]
    const startedAt = performance.now()
    const answer = await node?.get(paths[at % paths.length] ?? '')
    ms.push(performance.now() - startedAt)
    if (answer?.status === 200) succeeded++
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
