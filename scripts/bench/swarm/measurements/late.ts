/** A host that begins when the others are nearly done: it gets from all of them what they have. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Measurement } from '../bench.ts'
import { makeFolder } from '../folder.ts'
import { leastMs, nodeUrl, observe, openHerd, scaled } from '../herd.ts'
import { pullAtOnce } from '../pull.ts'
import { blobPath, pushFile } from '../push.ts'

const lateMs = 10_000

export const late: Measurement = {
  name: 'late',
  namespaces: true,
  async run(bench) {
    const size = scaled(bench, 64)
    const { cold, megabits } = bench
    await using herd = await openHerd(bench, { name: 'late', cold, megabits })
    const blob = await bench.maker.make(path.join(await makeFolder(bench, 'late-blob'), 'blob'), size)
    const own: number[] = []
    for (let turn = 0; turn < bench.reps; turn++) {
      const content = await blob.renew()
      await pushFile(content, { host: herd.holder.host, signal: bench.signal })
      const urls = herd.cold.map(({ host }) => ({ url: nodeUrl + blobPath(content.digest), host }))
      const { result, use } = await observe(bench, herd.nodes, async () => {
        const early = pullAtOnce(urls.slice(0, -1), content, bench)
        const last = delay(lateMs * bench.scale, undefined, bench).then(() =>
          pullAtOnce(urls.slice(-1), content, bench),
        )
        return (await Promise.all([early, last])).map((pulls) => pulls.map(({ endMs }) => endMs))
      })
      const least = leastMs(size, megabits)
      own.push((result[1]?.[0] ?? 0) / least)
      bench.say(
        `late: ${own.at(-1)?.toFixed(2)}, the others up to ${(Math.max(...(result[0] ?? [])) / least).toFixed(2)} × size/bandwidth, processors ${(use.busy * 100).toFixed(0)} % busy`,
      )
    }
    await bench.memory.note(herd.nodes)
    const what = `one host begins ${lateMs / 1000} s late: its own time`
    return [{ what, unit: '× size/bandwidth', values: own, reach: { atMost: 1.2 } }]
  },
}
