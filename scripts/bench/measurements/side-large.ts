/** Large blobs beside docker-registry: pushed by every shape that clients use, and read, with the processor's time for each MiB. */
import { type Bench, makeBlobs, mib, type Pair, rate, type Samples, settle, sizeText } from '../bench.ts'
import type { BlobFile, Content } from '../content.ts'
import type { Line, Reach } from '../line.ts'
import { type BlobShape, pullBlob, pushBlob } from '../load.ts'
import { processorMs } from '../processor.ts'
import type { Registry } from '../subject.ts'

const repository = 'bench/large'
const largestBytes = 512 * mib
const sides = ['shoal', 'reference'] as const
const none: Reach = { kind: 'none' }
const atLeast = (times: number): Reach => ({ kind: 'ratio', atLeast: times })

/** What was moved, in turns. */
interface Moved {
  mbPerSecond: Samples
  msPerMiB: Samples
}

export async function largeBlobs(bench: Bench, pair: Pair, folder: string): Promise<Line[]> {
  const size = Math.min(bench.blobBytes, largestBytes)
  const [file] = await makeBlobs(bench, folder, 1, size)
  if (file === undefined) return []
  const push = async (how: string, shape: BlobShape): Promise<Moved> => {
    bench.say(`push of ${sizeText(size)} ${how}`)
    return await move(bench, pair, file, (registry, content) =>
      pushBlob(registry, repository, content, bench, shape),
    )
  }
  const patch = await push('by one PATCH', { by: 'PATCH' })
  const put = await push('by one PUT', { by: 'PUT' })
  const patched = await push('by one PATCH in chunks', { by: 'PATCH', isChunked: true })
  const putted = await push('by one PUT in chunks', { by: 'PUT', isChunked: true })
  const what = `push of ${sizeText(size)} by one`
  return [
    ...linesOf(`${what} PATCH`, patch, { rate: atLeast(2), cost: 2 }),
    ...linesOf(`${what} PUT`, put, { rate: atLeast(2), cost: 2 }),
    ...linesOf(`${what} PATCH in chunks, as of docker and podman`, patched, { rate: none, cost: 2 }),
    besideWhole(patched, patch),
    ...linesOf(`${what} PUT in chunks, as of containerd`, putted, { rate: none, cost: 2 }),
    besideWhole(putted, put),
    ...(await pulls(bench, pair, file)),
  ]
}

async function pulls(bench: Bench, pair: Pair, file: BlobFile): Promise<Line[]> {
  const content = await file.renew()
  const what = `GET of ${sizeText(content.size)}`
  bench.say(what)
  const pull = (registry: Registry) => pullBlob(registry, repository, content, bench)
  for (const each of sides) {
    await pushBlob(pair[each], repository, content, bench)
    await pull(pair[each])
  }
  return linesOf(what, await move(bench, pair, { renew: async () => content }, pull), { rate: none })
}

/** Takes turns; `work` resolves to its time in ms. */
async function move(
  bench: Bench,
  pair: Pair,
  file: BlobFile,
  work: (registry: Registry, content: Content) => Promise<number>,
): Promise<Moved> {
  const mbPerSecond: Samples = { shoal: [], reference: [] }
  const msPerMiB: Samples = { shoal: [], reference: [] }
  for (let turn = 0; turn < bench.reps; turn += 1) {
    for (const each of sides) {
      const registry = pair[each]
      const content = await file.renew()
      await settle(bench)
      const beforeMs = await processorMs(registry.pid)
      mbPerSecond[each].push(rate(content.size, await work(registry, content)))
      msPerMiB[each].push(((await processorMs(registry.pid)) - beforeMs) / (content.size / mib))
    }
  }
  return { mbPerSecond, msPerMiB }
}

function linesOf(
  what: string,
  { mbPerSecond, msPerMiB }: Moved,
  reach: { rate: Reach; cost?: number },
): Line[] {
  const cost: Reach = reach.cost === undefined ? none : { kind: 'value', under: reach.cost }
  return [
    { what, unit: 'MB/s', ...mbPerSecond, reach: reach.rate },
    { what: '· processor', unit: 'ms/MiB', ...msPerMiB, reach: cost },
  ]
}

function besideWhole(chunked: Moved, whole: Moved): Line {
  const what = '· beside Shoal with the length told'
  const samples = { shoal: chunked.mbPerSecond.shoal, reference: whole.mbPerSecond.shoal }
  return { what, unit: 'MB/s', ...samples, reach: atLeast(0.9) }
}
