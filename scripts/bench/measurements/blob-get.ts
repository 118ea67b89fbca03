/** GET of one large blob, by one client and by four at once. */
import {
  type Bench,
  type Measurement,
  makeBlobs,
  openFolder,
  openPair,
  rate,
  sizeText,
  takeTurns,
} from '../bench.ts'
import type { Line } from '../line.ts'
import { pullBlob, pushBlob } from '../load.ts'

const repository = 'bench/get'

export const blobGet: Measurement = {
  name: 'blob-get',
  async run(bench) {
    await using folder = await openFolder(bench, 'blob-get')
    const [file] = await makeBlobs(bench, folder.path, 1, bench.blobBytes)
    if (file === undefined) return []
    const content = await file.renew()
    await using pair = await openPair(bench, folder.path)
    for (const registry of [pair.shoal, pair.reference]) {
      await pushBlob(registry, repository, content, bench)
      await pullBlob(registry, repository, content, bench)
    }
    const read = async (clients: number): Promise<Line> => {
      bench.say(`GET of ${sizeText(bench.blobBytes)}, ${clients} at once`)
      const samples = await takeTurns(bench, pair, async (registry) => {
        const pulls = Array.from({ length: clients }, () => pullBlob(registry, repository, content, bench))
        return rate(clients * content.size, Math.max(...(await Promise.all(pulls))))
      })
      return { what: describe(bench, clients), unit: 'MB/s', ...samples, reach: reachOf(clients) }
    }
    return [await read(1), await read(4)]
  },
}

function describe(bench: Bench, clients: number): string {
  return `GET of a ${sizeText(bench.blobBytes)} blob, ${clients === 1 ? '1 client' : `${clients} clients`}`
}

function reachOf(clients: number): Line['reach'] {
  return { kind: 'ratio', atLeast: clients === 1 ? 1.5 : 1.3 }
}
