/** The end of a large blob that a cold host lacks, as eStargz and zstd:chunked ask for it first: how long it takes, and what moves. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { layoutOf } from '../../../../src/exchange/protocol/piece-size.ts'
import type { Measurement } from '../bench.ts'
import { makeFolder } from '../folder.ts'
import { nodeUrl, observe, openHerd, scaled } from '../herd.ts'
import { startPull } from '../pull.ts'
import { blobPath, pushFile } from '../push.ts'

const megabits = 100
const tailBytes = 64 * 1024
/** The pieces of what was pushed are hashed behind its answer; what is pulled lazily was there for longer than that. */
const settleMs = 10_000

export const lazy: Measurement = {
  name: 'lazy',
  namespaces: true,
  async run(bench) {
    const size = scaled(bench, 1024)
    await using herd = await openHerd(bench, { name: 'lazy', cold: 1, megabits })
    const [reader] = herd.cold
    if (reader === undefined) throw new RangeError('no cold host')
    const blob = await bench.maker.make(path.join(await makeFolder(bench, 'lazy-blob'), 'blob'), size)
    const [took, pieces]: [number[], number[]] = [[], []]
    for (let turn = 0; turn < bench.reps; turn++) {
      const content = await blob.renew()
      await pushFile(content, { host: herd.holder.host, signal: bench.signal })
      await delay(settleMs * bench.scale, undefined, { signal: bench.signal })
      const options = { host: reader.host, signal: bench.signal, range: `-${tailBytes}` }
      const { result, traffic } = await observe(
        bench,
        [reader.node],
        () => startPull(nodeUrl + blobPath(content.digest), tailBytes, options).done,
      )
      took.push(result.totalMs)
      pieces.push((traffic[0]?.receivedBytes ?? 0) / layoutOf(size).pieceBytes)
      bench.say(`lazy: the last ${tailBytes} bytes after ${result.totalMs.toFixed(0)} ms`)
    }
    await bench.memory.note(herd.nodes)
    const what = `the last 64 KiB of ${size / 2 ** 20} MiB at ${megabits} Mbit/s`
    return [
      { what, unit: 'ms', values: took, reach: { atMost: 300 } },
      { what: `${what}: pieces fetched`, unit: 'pieces', values: pieces, reach: { atMost: 3 } },
    ]
  },
}
