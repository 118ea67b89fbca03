/** `shoal verify` of what is stored, beside `sha256sum` of the same files. */
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { type Bench, type Measurement, makeBlobs, openFolder, rate, settle, sizeText } from '../bench.ts'
import { runCommand } from '../command.ts'
import { pushBlob } from '../load.ts'
import { openRegistry } from '../subject.ts'

const repository = 'bench/verify'
const blobCount = 4

export const verify: Measurement = {
  name: 'verify',
  async run(bench) {
    await using folder = await openFolder(bench, 'verify')
    const size = bench.blobBytes / 2
    bench.say(`verify of ${blobCount} × ${sizeText(size)}`)
    const dataDir = await store(bench, folder.path, size)
    const stored = await filesOf(dataDir, size)
    const shoal: number[] = []
    const reference: number[] = []
    for (let turn = 0; turn < bench.reps; turn += 1) {
      await settle(bench)
      const ours = await runCommand(bench.shoalCommand, ['verify', '--data', dataDir], bench)
      shoal.push(rate(blobCount * size, ours.elapsedMs))
      const theirs = await runCommand('sha256sum', stored, bench)
      reference.push(rate(blobCount * size, theirs.elapsedMs))
    }
    const what = `verify of ${blobCount} × ${sizeText(size)}, beside sha256sum`
    return [{ what, unit: 'MB/s', shoal, reference, reach: { kind: 'ratio', atLeast: 0.7 } }]
  },
}

/** Pushes the blobs to a node that is stopped again: verify opens the store itself. */
async function store(bench: Bench, folder: string, size: number): Promise<string> {
  await using registry = await openRegistry(bench.shoal, path.join(folder, 'shoal'), bench)
  for (const file of await makeBlobs(bench, folder, blobCount, size)) {
    await pushBlob(registry, repository, await file.renew(), bench)
  }
  return registry.dataDir
}

async function filesOf(dataDir: string, size: number): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(dataDir, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name)
    if (entry.isFile() && (await stat(file)).size === size) found.push(file)
  }
  if (found.length !== blobCount) throw new RangeError(`${found.length} files hold ${blobCount} blobs`)
  return found
}
