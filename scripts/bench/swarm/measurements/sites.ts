/** Two sites of four hosts with a narrow link between them: what of a blob crosses it, and how long that takes. */
import path from 'node:path'
import type { Measurement } from '../bench.ts'
import { makeFolder } from '../folder.ts'
import { HerdFigures, leastMs, openHerd, scaled } from '../herd.ts'
import { pushFile } from '../push.ts'
import { pullFromSwarm } from './fanout.ts'

const megabits = 50
const betweenMbps = 5
const cold = 7

export const sites = twoSites({ mebibytes: 32, atMostCopies: 1.3 })

export function twoSites({
  mebibytes,
  atMostCopies,
}: {
  mebibytes: number
  atMostCopies: number
}): Measurement {
  return {
    name: 'sites',
    namespaces: true,
    async run(bench) {
      const size = scaled(bench, mebibytes)
      await using herd = await openHerd(bench, { name: 'sites', cold, megabits, betweenMbps })
      const blob = await bench.maker.make(path.join(await makeFolder(bench, 'sites-blob'), 'blob'), size)
      const figures = new HerdFigures(bench, 'two sites of four')
      const crossed: number[] = []
      const slowest: number[] = []
      for (let turn = 0; turn < bench.reps; turn++) {
        const content = await blob.renew()
        await pushFile(content, { host: herd.holder.host, signal: bench.signal })
        const { intoBytes } = await herd.network.crossed()
        const pulls = await pullFromSwarm(bench, herd, content, figures)
        crossed.push(((await herd.network.crossed()).intoBytes - intoBytes) / size)
        slowest.push(Math.max(...pulls.map(({ endMs }) => endMs)) / leastMs(size, betweenMbps))
        bench.say(
          `sites: ${crossed.at(-1)?.toFixed(2)} copies crossed, ${slowest.at(-1)?.toFixed(2)} × the narrow link's time`,
        )
      }
      await bench.memory.note(herd.nodes)
      return [
        {
          what: 'two sites of four: what came over the link',
          unit: 'copies',
          values: crossed,
          reach: { atMost: atMostCopies },
        },
        {
          what: 'two sites of four: slowest host',
          unit: '× size/narrow link',
          values: slowest,
          reach: { atMost: 1.3 },
        },
        { what: 'two sites of four: holder uploads', unit: 'copies', values: figures.holderCopies },
      ]
    },
  }
}
