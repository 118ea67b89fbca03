/** A large image is pushed, and its second copy waited for: until another member has it, and none has anything left to bring. */
import path from 'node:path'
import { until } from '../../cluster/nodes.ts'
import type { Measurement } from '../../swarm/bench.ts'
import { makeFolder } from '../../swarm/folder.ts'
import { openHerd, scaled } from '../../swarm/herd.ts'
import { pushImage } from '../../swarm/image.ts'
import { countHolders, shortImages } from '../holders.ts'

const patienceMs = 600_000

export const second: Measurement = {
  name: 'second',
  namespaces: true,
  async run(bench) {
    const { cold, megabits } = bench
    await using herd = await openHerd(bench, { name: 'second', cold, megabits, copies: 2 })
    const { node, host } = herd.holder
    const others = herd.cold.map((member) => member.node)
    const folder = await makeFolder(bench, 'second-blob')
    const blob = await bench.maker.make(path.join(folder, 'blob'), scaled(bench, 1024))
    const pushes: number[] = []
    const ratios: number[] = []
    for (let turn = 0; turn < bench.reps; turn++) {
      const content = await blob.renew()
      const beganMs = performance.now()
      await pushImage(bench, { node, host }, `second-${turn}`, [content])
      const pushMs = performance.now() - beganMs
      const isThere = async (): Promise<boolean> =>
        (await countHolders(others, content.digest)) > 0 && (await shortImages(others)) === 0
      const afterMs = await until('the second copy', isThere, patienceMs)
      pushes.push(pushMs / 1000)
      ratios.push(afterMs / pushMs)
      bench.say(
        `second: pushed in ${(pushMs / 1000).toFixed(1)} s, copied ${(afterMs / 1000).toFixed(1)} s later`,
      )
    }
    await bench.memory.note(herd.nodes)
    return [
      { what: 'push of a large image', unit: 's', values: pushes },
      {
        what: 'second copy durable, after the push',
        unit: '× its time',
        values: ratios,
        reach: { atMost: 1 },
      },
    ]
  },
}
