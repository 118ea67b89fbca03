/** Resident memory while four clients pull and then push large blobs, and for a small and a large blob. */
import path from 'node:path'
import { type Bench, type Measurement, makeBlobs, mib, openFolder, sizeText } from '../bench.ts'
import type { Content } from '../content.ts'
import type { Line } from '../line.ts'
import { pullBlob, pushBlob } from '../load.ts'
import { anonymousMiB, peakMiB, resetPeak } from '../resident.ts'
import { openRegistry, type Subject } from '../subject.ts'

const repository = 'bench/memory'
const clients = 4

interface Peaks {
  idle: number
  pull: number
  push: number
  /** Without mapped files, after all of it. */
  anonymous: number
}

export const memory: Measurement = {
  name: 'memory',
  async run(bench) {
    await using folder = await openFolder(bench, 'memory')
    const load = await peaksUnderLoad(bench, folder.path)
    return [...load, await peaksBySize(bench, folder.path)]
  },
}

async function peaksUnderLoad(bench: Bench, root: string): Promise<Line[]> {
  bench.say(`memory, ${clients} clients`)
  const files = await makeBlobs(bench, root, clients, bench.blobBytes)
  const runs = { shoal: [] as Peaks[], reference: [] as Peaks[] }
  for (let turn = 0; turn < bench.reps; turn += 1) {
    for (const side of ['shoal', 'reference'] as const) {
      const contents = await Promise.all(files.map((file) => file.renew()))
      runs[side].push(await peaksOf(bench, bench[side], root, contents))
    }
  }
  const line = (what: string, field: keyof Peaks, reach: Line['reach']): Line => ({
    what: `resident memory, ${what}`,
    unit: 'MiB',
    shoal: runs.shoal.map((peaks) => peaks[field]),
    reference: runs.reference.map((peaks) => peaks[field]),
    reach,
  })
  const each = `${clients} × ${sizeText(bench.blobBytes)}`
  const bounded = { kind: 'value', under: 250 } as const
  return [
    line('after the start', 'idle', { kind: 'none' }),
    line(`peak, push of ${each}`, 'push', bounded),
    line(`peak, pull of ${each}`, 'pull', bounded),
    line('anonymous part at the end', 'anonymous', { kind: 'none' }),
  ]
}

/** In a fresh process: all push their blob at once, then all pull it at once. */
async function peaksOf(bench: Bench, subject: Subject, root: string, contents: Content[]): Promise<Peaks> {
  await using folder = await openFolder({ root }, 'peaks')
  await using registry = await openRegistry(subject, path.join(folder.path, subject.name), bench)
  const { pid } = registry
  const idle = await peakMiB(pid)
  await resetPeak(pid)
  await Promise.all(contents.map((content) => pushBlob(registry, repository, content, bench)))
  const push = await peakMiB(pid)
  await resetPeak(pid)
  await Promise.all(contents.map((content) => pullBlob(registry, repository, content, bench)))
  return { idle, push, pull: await peakMiB(pid), anonymous: await anonymousMiB(pid) }
}

/** The peak with a blob of four times the size over the peak with one of a quarter of it. */
async function peaksBySize(bench: Bench, root: string): Promise<Line> {
  const [small, large] = [bench.blobBytes / 4, bench.blobBytes * 4]
  bench.say(`memory, ${sizeText(small)} and ${sizeText(large)}`)
  const growth = { shoal: [] as number[], reference: [] as number[] }
  const files = await Promise.all([small, large].map((size) => makeBlobs(bench, root, 1, size)))
  for (let turn = 0; turn < bench.reps; turn += 1) {
    for (const side of ['shoal', 'reference'] as const) {
      const peaks: number[] = []
      for (const file of files.flat()) {
        const { push, pull } = await peaksOf(bench, bench[side], root, [await file.renew()])
        peaks.push(Math.max(push, pull))
      }
      growth[side].push((peaks[1] ?? Number.NaN) / (peaks[0] ?? Number.NaN))
    }
  }
  const what = `peak with a ${sizeText(large)} blob over ${small < mib ? 'a small one' : sizeText(small)}`
  return { what, unit: '×', ...growth, reach: { kind: 'value', under: 1.2 } }
}
