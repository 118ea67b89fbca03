/** An image that a herd of clients pulls as docker does: its manifest, then its layers, three at a time. */
import path from 'node:path'
import type { Content } from '../../content.ts'
import type { Measurement, SwarmBench } from '../bench.ts'
import { makeFolder } from '../folder.ts'
import { HerdFigures, type Member, nodeUrl, observe, openHerd, scaled } from '../herd.ts'
import { config, configDigest, type Image, pushImage } from '../image.ts'
import { startPull } from '../pull.ts'
import { blobPath, manifestPath } from '../push.ts'

const layerCount = 4
const layersAtOnce = 3

export const layers: Measurement = {
  name: 'layers',
  namespaces: true,
  async run(bench) {
    const size = scaled(bench, 16)
    const { cold, megabits } = bench
    await using herd = await openHerd(bench, { name: 'layers', cold, megabits })
    const folder = await makeFolder(bench, 'layers-blobs')
    const files = []
    for (let index = 0; index < layerCount; index++) {
      files.push(await bench.maker.make(path.join(folder, `${index}`), size))
    }
    const figures = new HerdFigures(bench, 'layers')
    for (let turn = 0; turn < bench.reps; turn++) {
      const contents: Content[] = []
      for (const file of files) contents.push(await file.renew())
      const image = await pushImage(bench, herd.holder, `turn-${turn}`, contents)
      const seen = await observe(bench, herd.nodes, async () => {
        const startedAt = performance.now()
        return await Promise.all(
          herd.cold.map(async (member) => {
            await pullImage(bench, member, image)
            return performance.now() - startedAt
          }),
        )
      })
      figures.add(seen.result, layerCount * size, megabits, seen)
    }
    await bench.memory.note(herd.nodes)
    return [
      {
        what: `${layerCount} layers, ${layersAtOnce} at a time, to ${cold}: slowest host`,
        unit: '× size/bandwidth',
        values: figures.slowest,
        reach: { atMost: 1.5 },
      },
      { what: 'layers: holder uploads', unit: 'copies', values: figures.holderCopies },
      ...figures.costs(),
    ]
  },
}

async function pullImage(bench: SwarmBench, member: Member, image: Image): Promise<void> {
  const pull = async (where: string, size: number): Promise<void> => {
    await startPull(nodeUrl + where, size, { host: member.host, signal: bench.signal }).done
  }
  await pull(manifestPath(image.tag), image.manifest.length)
  await pull(blobPath(configDigest), config.length)
  const waiting = [...image.layers]
  const work = async (): Promise<void> => {
    for (let layer = waiting.shift(); layer !== undefined; layer = waiting.shift()) {
      await pull(blobPath(layer.digest), layer.size)
    }
  }
  await Promise.all(Array.from({ length: layersAtOnce }, work))
}
