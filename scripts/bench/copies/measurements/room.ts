/** Ten times its disk in mirrored images pulled through one node, each once; in turn with a node that has room for all of them. */
import { mib } from '../../bench.ts'
import { type Node, openNode } from '../../cluster/nodes.ts'
import { AnswerError } from '../../request.ts'
import { percentile } from '../../statistics.ts'
import type { Measurement, SwarmBench } from '../../swarm/bench.ts'
import { configDigest } from '../../swarm/image.ts'
import { startPull } from '../../swarm/pull.ts'
import { type Disk, openDisk } from '../disk.ts'
import { type EndlessImage, endlessRepository, openEndlessUpstream } from '../endless-upstream.ts'
import { isHeld } from '../holders.ts'

const upstreamName = 'endless.test'
const timesThrough = 10
const imagesInDisk = 64
/** ext4's own tables are a few of it. */
const leastDiskMiB = 256

export const room: Measurement = {
  name: 'room',
  namespaces: true,
  async run(bench) {
    const { signal } = bench
    const diskBytes = Math.max(leastDiskMiB, Math.round(2048 * bench.scale)) * mib
    const count = timesThrough * imagesInDisk
    await using upstream = await openEndlessUpstream(Math.floor(diskBytes / imagesInDisk))
    await using smallDisk = await openDisk(bench.root, 'small', diskBytes, { signal })
    await using roomyDisk = await openDisk(bench.root, 'roomy', (timesThrough + 2) * diskBytes, { signal })
    const minFree = ['--min-free', `${Math.round((diskBytes * 0.03) / mib)}MiB`]
    const flags = [...minFree, '--upstream', `${upstreamName}=${upstream.url}`]
    const limit = 0.9
    await using small = await openNode({
      folder: smallDisk.folder,
      flags: [...flags, '--max-disk', `${limit * 100}%`],
    })
    await using roomy = await openNode({ folder: roomyDisk.folder, flags })
    bench.say(
      `room: ${count} images of ${(upstream.layerBytes / mib).toFixed(0)} MiB through each of two nodes`,
    )
    const seen = await pullAll(bench, { small, roomy, smallDisk, count, ...upstream })
    await bench.memory.note([small, roomy])
    const lastThird = Math.floor((limit * diskBytes) / 3 / upstream.layerBytes)
    let still = 0
    for (let number = count - lastThird; number < count; number++)
      if (await isHeld(small.data, upstream.image(number).layerDigest)) still++
    const disk = `a disk of ${diskBytes / mib} MiB, ${timesThrough} times that through it`
    // Before the small one is full both do the same.
    const after = 2 * imagesInDisk
    const p99 = (times: number[]): number => percentile(times.slice(after), 0.99)
    bench.say(
      `room: p99 ${p99(seen.small).toFixed(0)} ms on the small disk, ${p99(seen.roomy).toFixed(0)} ms on the roomy one`,
    )
    return [
      { what: `${disk}: failed pulls`, unit: 'pulls', values: [seen.failed], reach: { atMost: 0 } },
      {
        what: 'the most that was filled',
        unit: '% of it',
        values: [seen.fullest * 100],
        reach: { atMost: 97 },
      },
      {
        what: 'of what was used last, a third of the disk, is there',
        unit: '%',
        values: [(still / lastThird) * 100],
        reach: { atLeast: 100 },
      },
      {
        what: 'pull p99',
        unit: '× roomy disk',
        values: [p99(seen.small) / p99(seen.roomy)],
        reach: { atMost: 1.3 },
      },
    ]
  },
}

interface Through {
  small: Node
  roomy: Node
  smallDisk: Disk
  count: number
  layerBytes: number
  image(number: number): EndlessImage
}

async function pullAll(
  { signal }: SwarmBench,
  { small, roomy, smallDisk, count, layerBytes, image }: Through,
): Promise<{ small: number[]; roomy: number[]; failed: number; fullest: number }> {
  const seen = { small: [] as number[], roomy: [] as number[], failed: 0, fullest: 0 }
  for (let number = 0; number < count; number++) {
    // In turn which one is first.
    const turns = [[small, seen.small] as const, [roomy, seen.roomy] as const]
    for (const [node, times] of number % 2 === 0 ? turns : turns.reverse()) {
      const beganMs = performance.now()
      try {
        await pull(node, image(number), layerBytes, signal)
      } catch (error) {
        if (!(error instanceof AnswerError)) throw error
        seen.failed++
      }
      times.push(performance.now() - beganMs)
    }
    seen.fullest = Math.max(seen.fullest, await smallDisk.filledShare())
  }
  return seen
}

async function pull(
  node: Node,
  { tag, layerDigest }: EndlessImage,
  layerBytes: number,
  signal: AbortSignal,
): Promise<void> {
  const repository = `/v2/${upstreamName}/${endlessRepository}`
  await node.expect(200, `${repository}/manifests/${tag}`)
  await node.expect(200, `${repository}/blobs/${configDigest}`)
  await startPull(`${node.url}${repository}/blobs/${layerDigest}`, layerBytes, { signal }).done
}
