/** A small blob that a neighbour has, without any limit: how soon the first byte comes, and the last. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { mib } from '../../bench.ts'
import { openCluster } from '../../cluster/nodes.ts'
import { percentile } from '../../statistics.ts'
import type { Measurement } from '../bench.ts'
import { makeFolder } from '../folder.ts'
import { startPull } from '../pull.ts'
import { blobPath, pushFile } from '../push.ts'

const size = 10 * mib
const pulls = 25
/** What is hot in a running node is compiled by then. */
const unjudged = 5
/** Between a push and a pull; nothing that the push set off is under way after it. */
const pauseMs = 2000

export const warm: Measurement = {
  name: 'warm',
  async run(bench) {
    const folder = await makeFolder(bench, 'warm')
    await using cluster = await openCluster({ folder, size: 2 })
    const [holder, asker] = cluster.nodes
    if (holder === undefined || asker === undefined) throw new RangeError('no two nodes')
    const blob = await bench.maker.make(path.join(folder, 'blob'), size)
    const [first, whole]: [number[], number[]] = [[], []]
    bench.say(`warm: ${pulls} pulls of 10 MiB from a peer`)
    for (let turn = 0; turn < pulls; turn++) {
      const content = await blob.renew()
      await pushFile(content, { url: holder.url, signal: bench.signal })
      await delay(pauseMs, undefined, bench)
      const url = asker.url + blobPath(content.digest)
      const { firstByteMs, totalMs } = await startPull(url, size, bench).done
      if (turn < unjudged) continue
      first.push(firstByteMs)
      whole.push(totalMs)
    }
    await bench.memory.note(cluster.nodes)
    bench.say(`warm: p90 ${percentile(first, 0.9).toFixed(1)} ms and ${percentile(whole, 0.9).toFixed(1)} ms`)
    return [
      { what: '10 MiB from a peer: first byte', unit: 'ms', values: first, reach: { atMost: 15 } },
      { what: '10 MiB from a peer: whole', unit: 'ms', values: whole, reach: { atMost: 80 } },
    ]
  },
}
