/**
 * What `npm run bench` prints where nothing else was asked for: small things, large blobs with the processor's time for them, and the
 * memory of the same processes at rest, in the middle of all that, and a minute after.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type Bench, type Measurement, openFolder, openPair, type Pair, type Samples } from '../bench.ts'
import type { Line } from '../line.ts'
import { peakMiB, residentMiB } from '../resident.ts'
import { largeBlobs } from './side-large.ts'
import { smallThings } from './side-small.ts'

const idleMs = 20_000
const afterMs = 60_000

export const side: Measurement = {
  name: 'side',
  async run(bench) {
    await using folder = await openFolder(bench, 'side')
    await using pair = await openPair(bench, folder.path)
    await rest(bench, idleMs)
    const idle = await ofBoth(pair, residentMiB)
    const lines = [...(await smallThings(bench, pair)), ...(await largeBlobs(bench, pair, folder.path))]
    const peak = await ofBoth(pair, peakMiB)
    await rest(bench, afterMs)
    const after = await ofBoth(pair, residentMiB)
    const memory = (what: string, samples: Samples, under: number): Line => {
      return { what: `resident memory, ${what}`, unit: 'MiB', ...samples, reach: { kind: 'value', under } }
    }
    return [
      ...lines,
      memory('at rest', idle, 96),
      memory('peak of all that', peak, 160),
      memory('a minute after', after, 110),
    ]
  },
}

async function rest({ say, signal }: Bench, ms: number): Promise<void> {
  say(`nobody asks for ${ms / 1000} s`)
  await delay(ms, undefined, { signal })
}

async function ofBoth(pair: Pair, measure: (pid: number) => Promise<number>): Promise<Samples> {
  return { shoal: [await measure(pair.shoal.pid)], reference: [await measure(pair.reference.pid)] }
}
