/** One herd at each of the link speeds and sizes that Shoal has to take one shape at, as rows of one table. */
import path from 'node:path'
import { mib } from '../../bench.ts'
import type { Measurement, Reach, SwarmBench } from '../bench.ts'
import { openCentral } from '../central.ts'
import { makeFolder } from '../folder.ts'
import { HerdFigures, leastMs, openHerd, scaled } from '../herd.ts'
import { pushFile } from '../push.ts'
import { pullFromCentral, pullFromSwarm } from './fanout.ts'

interface Regime {
  readonly hosts: number
  readonly megabits: number
  readonly mebibytes: number
  /** A central registry is measured beside it. */
  readonly isCompared?: true
  /** At most. */
  readonly slowest: number
  readonly copies: number
  readonly cpuMs: number
}

const regimes: Regime[] = [
  { hosts: 8, megabits: 4, mebibytes: 16, slowest: 1.35, copies: 1.25, cpuMs: 60 },
  { hosts: 8, megabits: 25, mebibytes: 64, isCompared: true, slowest: 1.2, copies: 1.15, cpuMs: 23 },
  { hosts: 8, megabits: 100, mebibytes: 64, isCompared: true, slowest: 1.3, copies: 1.2, cpuMs: 11 },
  { hosts: 8, megabits: 1000, mebibytes: 256, isCompared: true, slowest: 5, copies: 2, cpuMs: 7 },
  { hosts: 24, megabits: 8, mebibytes: 16, slowest: 1.4, copies: 1.3, cpuMs: 34 },
  { hosts: 47, megabits: 4, mebibytes: 16, slowest: 1.6, copies: 1.5, cpuMs: 50 },
]

/** Each by its name, as `8x25`: hosts, and Mbit/s. */
export const regimeMeasurements: Measurement[] = regimes.map((regime) => ({
  name: `${regime.hosts}x${regime.megabits}`,
  namespaces: true,
  async run(bench) {
    await measure(bench, regime)
    return []
  },
}))

async function measure(bench: SwarmBench, regime: Regime): Promise<void> {
  const { hosts, megabits, mebibytes, isCompared } = regime
  const name = `${hosts}x${megabits}`
  const size = scaled(bench, mebibytes)
  const spare = isCompared === true ? 1 : 0
  await using herd = await openHerd(bench, { name, cold: hosts, megabits, spare })
  const folder = await makeFolder(bench, `${name}-blob`)
  const [centralHost] = herd.spare
  await using _central = centralHost === undefined ? undefined : await openCentral(centralHost, folder, bench)
  const blob = await bench.maker.make(path.join(folder, 'blob'), size)
  const figures = new HerdFigures(bench, name)
  const cpuMs: number[] = []
  const central: number[] = []
  for (let turn = 0; turn < bench.reps; turn++) {
    const content = await blob.renew()
    await pushFile(content, { host: herd.holder.host, signal: bench.signal })
    await pullFromSwarm(bench, herd, content, figures)
    cpuMs.push((figures.nodesMs.at(-1) ?? 0) / (hosts * (size / mib)))
    if (centralHost === undefined) continue
    const url = `http://${centralHost.address}:5000`
    await pushFile(content, { host: centralHost, url, signal: bench.signal })
    const pulls = await pullFromCentral(bench, herd, centralHost, content)
    central.push(Math.max(...pulls.map(({ endMs }) => endMs)) / leastMs(size, megabits))
  }
  await bench.memory.note(herd.nodes)
  const atMost = (most: number): Reach => ({ atMost: most })
  bench.keepRegime({
    hosts,
    megabits,
    mebibytes: size / mib,
    slowest: { values: figures.slowest, reach: atMost(regime.slowest) },
    copies: { values: figures.holderCopies, reach: atMost(regime.copies) },
    cpuMs: { values: cpuMs, reach: atMost(regime.cpuMs) },
    ...(central.length === 0 ? {} : { central: { values: central } }),
  })
}
