/** A large image is pushed at the links' rate, and its second copy waited for: until another member has it, and who took the push knows. */
import path from 'node:path'
import { type Node, until } from '../../cluster/nodes.ts'
import type { Content } from '../../content.ts'
import type { Measurement } from '../../swarm/bench.ts'
import { makeFolder } from '../../swarm/folder.ts'
import { openHerd, scaled } from '../../swarm/herd.ts'
import { pushImage } from '../../swarm/image.ts'
import { countHolders, shortImages } from '../holders.ts'

const patienceMs = 600_000
const mebibytes = 1024
/** As an image has them: what is here of it goes on while the rest is pushed. */
const layers = 8

export const second: Measurement = {
  name: 'second',
  namespaces: true,
  async run(bench) {
    const { cold, megabits } = bench
    await using herd = await openHerd(bench, { name: 'second', cold, megabits, copies: 2 })
    const { node, host } = herd.holder
    const others = herd.cold.map((member) => member.node)
    const folder = await makeFolder(bench, 'second-blob')
    const blobs = await Promise.all(
      Array.from({ length: layers }, (_, at) =>
        bench.maker.make(path.join(folder, `layer-${at}`), scaled(bench, mebibytes / layers)),
      ),
    )
    const pushes: number[] = []
    const ratios: number[] = []
    for (let turn = 0; turn < bench.reps; turn++) {
      const contents = await Promise.all(blobs.map((blob) => blob.renew()))
      const beganMs = performance.now()
      await pushImage(bench, { node, host }, `second-${turn}`, contents, { megabits })
      const pushMs = performance.now() - beganMs
      const isThere = async (): Promise<boolean> =>
        (await holdAny(others, contents)) && (await shortImages([node])) === 0
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

async function holdAny(nodes: readonly Node[], contents: readonly Content[]): Promise<boolean> {
  for (const { digest } of contents) if ((await countHolders(nodes, digest)) === 0) return false
  return true
}
