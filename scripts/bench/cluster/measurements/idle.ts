/** What a node of an idle cluster takes of memory and of a core. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { median } from '../../statistics.ts'
import type { Measurement } from '../bench.ts'
import { openCluster } from '../nodes.ts'
import { processorSeconds, residentMiB } from '../usage.ts'

const settleMs = 15_000

export const idle: Measurement = {
  name: 'idle',
  async run(bench) {
    const folder = path.join(bench.root, 'idle')
    await using cluster = await openCluster({ folder, size: bench.size })
    bench.say(`watching ${bench.size} idle nodes for ${bench.idleMs / 1000} s`)
    await delay(settleMs)
    const pids = cluster.nodes.map(({ pid }) => pid)
    const before = await Promise.all(pids.map(processorSeconds))
    const start = performance.now()
    await delay(bench.idleMs)
    const after = await Promise.all(pids.map(processorSeconds))
    const seconds = (performance.now() - start) / 1000
    const shares = after.map((used, index) => ((used - (before[index] ?? 0)) / seconds) * 100)
    const memory = await Promise.all(pids.map(residentMiB))
    const nodes = `idle node of ${bench.size}`
    return [
      { what: `${nodes}, memory, the largest`, unit: 'MiB', value: Math.max(...memory), atMost: 160 },
      { what: `${nodes}, memory, median`, unit: 'MiB', value: median(memory) },
      { what: `${nodes}, share of a core, the largest`, unit: '%', value: Math.max(...shares), atMost: 1 },
      { what: `${nodes}, share of a core, median`, unit: '%', value: median(shares) },
    ]
  },
}
