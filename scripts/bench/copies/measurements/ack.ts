/** The same push, answered once it is here and once another member has it as well. */
import path from 'node:path'
import { until } from '../../cluster/nodes.ts'
import { median } from '../../statistics.ts'
import type { Measurement } from '../../swarm/bench.ts'
import { makeFolder } from '../../swarm/folder.ts'
import { openHerd, scaled } from '../../swarm/herd.ts'
import { pushImage } from '../../swarm/image.ts'
import { countHolders, shortImages } from '../holders.ts'

/** Of both, in turn. */
const pushesPerTurn = 5
const patienceMs = 60_000

export const ack: Measurement = {
  name: 'ack',
  namespaces: true,
  async run(bench) {
    const { cold, megabits } = bench
    await using herd = await openHerd(bench, { name: 'ack', cold, megabits, copies: 2 })
    const { node, host } = herd.holder
    const others = herd.cold.map((member) => member.node)
    const folder = await makeFolder(bench, 'ack-blob')
    const blob = await bench.maker.make(path.join(folder, 'blob'), scaled(bench, 20))
    const ones: number[] = []
    const ratios: number[] = []
    for (let turn = 0; turn < bench.reps; turn++) {
      const took = { 1: [] as number[], 2: [] as number[] }
      for (let push = 0; push < pushesPerTurn; push++) {
        for (const copies of [1, 2] as const) {
          const content = await blob.renew()
          const beganMs = performance.now()
          await pushImage(bench, { node, host }, `ack-${turn}-${push}-${copies}`, [content], { ack: copies })
          took[copies].push(performance.now() - beganMs)
          // The copy of this push would take link and processors from the next.
          const isCopied = async (): Promise<boolean> =>
            (await countHolders(others, content.digest)) > 0 && (await shortImages([node])) === 0
          await until('its copy', isCopied, patienceMs)
        }
      }
      ones.push(median(took[1]))
      ratios.push(median(took[2]) / median(took[1]))
      bench.say(
        `ack: ${median(took[1]).toFixed(0)} ms without, ${median(took[2]).toFixed(0)} ms with a second copy`,
      )
    }
    await bench.memory.note(herd.nodes)
    return [
      { what: '--ack 1: push of an image', unit: 'ms', values: ones },
      { what: '--ack 2: the same', unit: '× --ack 1', values: ratios, reach: { atMost: 1.5 } },
    ]
  },
}
