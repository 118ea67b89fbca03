/** What a node of an idle cluster takes of memory and of a core. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { median } from '../../statistics.ts'
import type { Measurement } from '../bench.ts'
import { openCluster } from '../nodes.ts'

const settleMs = 15_000
/** What /proc counts processor time in, on Linux everywhere. */
const ticksPerSecond = 100

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

async function processorSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The command's name may hold spaces; utime and stime are the 12th and 13th after its parenthesis.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024
}
