/** What the check of a blob's bytes costs: GETs of one that was not checked lately, beside GETs of one that was, of the same node. */
import { chmod } from 'node:fs/promises'
import path from 'node:path'
import {
  type Bench,
  type Measurement,
  makeBlobs,
  openFolder,
  rate,
  type Samples,
  settle,
  sizeText,
} from '../bench.ts'
import type { Content } from '../content.ts'
import type { Line } from '../line.ts'
import { pullBlob, pushBlob } from '../load.ts'
import { openRegistry, type Registry } from '../subject.ts'

const repository = 'bench/first-get'

export const firstGet: Measurement = {
  name: 'first-get',
  async run(bench) {
    await using folder = await openFolder(bench, 'first-get')
    const [file] = await makeBlobs(bench, folder.path, 1, bench.blobBytes)
    if (file === undefined) return []
    const content = await file.renew()
    await using registry = await openRegistry(bench.shoal, path.join(folder.path, 'shoal'), bench)
    await pushBlob(registry, repository, content, bench)
    return [await measure(bench, registry, content, 1), await measure(bench, registry, content, 4)]
  },
}

async function measure(bench: Bench, registry: Registry, content: Content, clients: number): Promise<Line> {
  bench.say(`first GET of ${sizeText(bench.blobBytes)}, ${clients} at once`)
  const pull = async (): Promise<number> => {
    const pulls = Array.from({ length: clients }, () => pullBlob(registry, repository, content, bench))
    return rate(clients * content.size, Math.max(...(await Promise.all(pulls))))
  }
  const samples: Samples = { shoal: [], reference: [] }
  for (let turn = 0; turn < bench.reps; turn += 1) {
    await settle(bench)
    // A file that changed since is checked again.
    await chmod(blobPath(registry, content), 0o600)
    samples.shoal.push(await pull())
    await settle(bench)
    samples.reference.push(await pull())
  }
  const what = `GET that checks a ${sizeText(bench.blobBytes)} blob, beside one that does not, ${clients === 1 ? '1 client' : `${clients} clients`}`
  return { what, unit: 'MB/s', ...samples, reach: { kind: 'ratio', atLeast: 0.9 } }
}

function blobPath({ dataDir }: Registry, { digest }: Content): string {
  const [algorithm = '', hex = ''] = digest.split(':')
  return path.join(dataDir, 'blobs', algorithm, hex.slice(0, 2), hex)
}
