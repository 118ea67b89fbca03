/** Push of new large blobs (POST, PATCH, PUT), by one client and by four at once. */
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
import type { BlobFile } from '../content.ts'
import type { Line } from '../line.ts'
import { pushBlob } from '../load.ts'

const repository = 'bench/push'
const warmUpBytes = 32 * 2 ** 20

export const blobPush: Measurement = {
  name: 'blob-push',
  async run(bench) {
    await using folder = await openFolder(bench, 'blob-push')
    const files = await makeBlobs(bench, folder.path, 4, bench.blobBytes)
    const [warm] = await makeBlobs(bench, folder.path, 1, warmUpBytes)
    return [
      await measure(bench, folder.path, files.slice(0, 1), warm),
      await measure(bench, folder.path, files, warm),
    ]
  },
}

async function measure(bench: Bench, root: string, files: BlobFile[], warm?: BlobFile): Promise<Line> {
  const clients = files.length
  bench.say(`push of ${sizeText(bench.blobBytes)}, ${clients} at once`)
  await using folder = await openFolder({ root }, `push-${clients}`)
  await using pair = await openPair(bench, folder.path)
  for (const registry of [pair.shoal, pair.reference]) {
    if (warm !== undefined) await pushBlob(registry, repository, await warm.renew(), bench)
  }
  const samples = await takeTurns(bench, pair, async (registry) => {
    const contents = await Promise.all(files.map((file) => file.renew()))
    const pushes = contents.map((content) => pushBlob(registry, repository, content, bench))
    return rate(clients * bench.blobBytes, Math.max(...(await Promise.all(pushes))))
  })
  const what = `push of ${sizeText(bench.blobBytes)}, ${clients === 1 ? '1 client' : `${clients} clients at once`}`
  return { what, unit: 'MB/s', ...samples, reach: { kind: 'ratio', atLeast: clients === 1 ? 1.5 : 0.9 } }
}
