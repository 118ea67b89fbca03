/** Cold hosts that want one blob at once, from one holder and each other; then the same herd at a central registry. */
import path from 'node:path'
import type { NetworkHost } from '../../../../test/netns/network.ts'
import type { Content } from '../../content.ts'
import type { Figure, Measurement, SwarmBench } from '../bench.ts'
import { openCentral } from '../central.ts'
import { makeFolder } from '../folder.ts'
import { type Herd, HerdFigures, leastMs, nodeUrl, observe, openHerd, scaled } from '../herd.ts'
import { type HostPull, pullAtOnce } from '../pull.ts'
import { blobPath, pushFile } from '../push.ts'

export const fanout: Measurement = {
  name: 'fanout',
  namespaces: true,
  async run(bench) {
    const size = scaled(bench, 64)
    const { cold, megabits } = bench
    await using herd = await openHerd(bench, { name: 'fanout', cold, megabits, spare: 1 })
    const folder = await makeFolder(bench, 'fanout-central')
    const [centralHost] = herd.spare
    if (centralHost === undefined) throw new RangeError('no host for the central registry')
    await using _central = await openCentral(centralHost, folder, bench)
    const blob = await bench.maker.make(path.join(folder, 'blob'), size)
    const figures = new HerdFigures(bench, 'fan-out')
    const central: number[] = []
    for (let turn = 0; turn < bench.reps; turn++) {
      const content = await blob.renew()
      await pushFile(content, { host: herd.holder.host, signal: bench.signal })
      const swarmPulls = await pullFromSwarm(bench, herd, content, figures)
      const url = `http://${centralHost.address}:5000`
      await pushFile(content, { host: centralHost, url, signal: bench.signal })
      const centralPulls = await pullFromCentral(bench, herd, centralHost, content)
      central.push(Math.max(...centralPulls.map(({ endMs }) => endMs)) / leastMs(size, megabits))
      const curves = (pulls: HostPull[]) => pulls.map(({ curve }) => curve)
      bench.keep({ bytes: size, megabits, swarm: curves(swarmPulls), central: curves(centralPulls) })
    }
    await bench.memory.note(herd.nodes)
    const times = '× size/bandwidth'
    return [
      {
        what: `fan-out to ${cold}: slowest host`,
        unit: times,
        values: figures.slowest,
        reach: { atMost: 1.35 },
      },
      {
        what: `fan-out to ${cold}: holder uploads`,
        unit: 'copies',
        values: figures.holderCopies,
        reach: { atMost: 1.5 },
      },
      { what: `fan-out to ${cold}: slowest host, central registry`, unit: times, values: central },
      ...figures.costs(),
    ]
  },
}

/** The same with twice as many hosts on links of half the speed. */
export const sixteen: Measurement = {
  name: 'sixteen',
  namespaces: true,
  async run(bench): Promise<Figure[]> {
    const size = scaled(bench, 32)
    const [cold, megabits] = [bench.cold * 2, bench.megabits / 2]
    await using herd = await openHerd(bench, { name: 'sixteen', cold, megabits })
    const blob = await bench.maker.make(path.join(await makeFolder(bench, 'sixteen-blob'), 'blob'), size)
    const figures = new HerdFigures(bench, `${cold} hosts`)
    for (let turn = 0; turn < bench.reps; turn++) {
      const content = await blob.renew()
      await pushFile(content, { host: herd.holder.host, signal: bench.signal })
      await pullFromSwarm(bench, herd, content, figures)
    }
    await bench.memory.note(herd.nodes)
    return [
      {
        what: `${cold} hosts: slowest host`,
        unit: '× size/bandwidth',
        values: figures.slowest,
        reach: { atMost: 1.5 },
      },
      { what: `${cold} hosts: holder uploads`, unit: 'copies', values: figures.holderCopies },
      ...figures.costs(),
    ]
  },
}

export async function pullFromSwarm(
  bench: SwarmBench,
  herd: Herd,
  content: Content,
  figures: HerdFigures,
): Promise<HostPull[]> {
  const urls = herd.cold.map(({ host }) => ({ url: nodeUrl + blobPath(content.digest), host }))
  const seen = await observe(bench, herd.nodes, () => pullAtOnce(urls, content, bench))
  figures.add(
    seen.result.map(({ endMs }) => endMs),
    content.size,
    herd.megabits,
    seen,
  )
  return seen.result
}

export async function pullFromCentral(
  bench: SwarmBench,
  herd: Herd,
  central: NetworkHost,
  content: Content,
): Promise<HostPull[]> {
  bench.say('fan-out: the same herd at a central registry')
  const url = `http://${central.address}:5000${blobPath(content.digest)}`
  return await pullAtOnce(
    herd.cold.map(({ host }) => ({ url, host })),
    content,
    bench,
  )
}
