/**
 * `shoal import docker-registry` of a storage folder, beside `cp` of the same folder, alone and until it is on the disk, and beside
 * `sha256sum` of it on all processors, which is the least that proving it takes.
 */
import { createHash } from 'node:crypto'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { type Bench, type Measurement, makeBlobs, openFolder, settle, sizeText } from '../bench.ts'
import { runCommand } from '../command.ts'
import { expectStatus } from '../request.ts'
import { openRegistry } from '../subject.ts'

const repository = 'bench/import'
const layerCount = 4

export const importing: Measurement = {
  name: 'import',
  async run(bench) {
    await using folder = await openFolder(bench, 'import')
    const storage = path.join(folder.path, 'storage')
    const files = await makeBlobs(bench, folder.path, layerCount, bench.blobBytes)
    const layers: Stored[] = []
    for (const file of files) {
      const { path: from, digest, size } = await file.renew()
      await mkdir(path.dirname(blobPath(storage, digest)), { recursive: true })
      await rename(from, blobPath(storage, digest))
      layers.push({ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size })
    }
    await writeImage(storage, layers)
    const what = `import of ${layerCount} × ${sizeText(bench.blobBytes)}`
    bench.say(what)
    const [shoal, copied, durable, hashed]: number[][] = [[], [], [], []]
    const [node, copy] = [path.join(folder.path, 'node'), path.join(folder.path, 'copy')]
    for (let turn = 0; turn < bench.reps; turn += 1) {
      await forget(bench, storage, layers)
      shoal?.push(await importInto(bench, node, storage))
      await rm(node, { recursive: true })
      await forget(bench, storage, layers)
      const { elapsedMs } = await runCommand('cp', ['-r', storage, copy], bench)
      const synced = await runCommand('sync', [], bench)
      copied?.push(elapsedMs)
      durable?.push(elapsedMs + synced.elapsedMs)
      await rm(copy, { recursive: true })
      await forget(bench, storage, layers)
      hashed?.push(await hashAll(bench, storage, layers))
    }
    const line = (beside: string, reference: number[] = []) => ({
      what: `${what}, beside ${beside}`,
      unit: 'ms' as const,
      shoal: shoal ?? [],
      reference,
      reach: { kind: 'ratio at most' as const, times: 1.3 },
    })
    return [
      line('cp -r', copied),
      line('cp -r and sync', durable),
      line(`sha256sum, ${availableParallelism()} at once`, hashed),
    ]
  },
}

/** Into an empty node that runs, as nodes do. */
async function importInto(bench: Bench, folder: string, storage: string): Promise<number> {
  await mkdir(folder)
  await using registry = await openRegistry(bench.shoal, folder, bench)
  // The first answer comes before the node can be told anything.
  await expectStatus(200, `${registry.url}/healthz`, bench)
  const args = ['import', 'docker-registry', storage, '--data', registry.dataDir]
  return (await runCommand(bench.shoalCommand, args, bench)).elapsedMs
}

async function hashAll(bench: Bench, storage: string, layers: Stored[]): Promise<number> {
  const paths = layers.map(({ digest }) => blobPath(storage, digest))
  const script = 'printf "%s\\0" "$@" | xargs -0 -n 1 -P "$0" sha256sum'
  return (await runCommand('sh', ['-c', script, String(availableParallelism()), ...paths], bench)).elapsedMs
}

/** Takes what is stored out of the kernel's cache: who comes from another registry has not just read it. */
async function forget(bench: Bench, storage: string, layers: Stored[]): Promise<void> {
  await settle(bench)
  for (const { digest } of layers)
    await runCommand('dd', [`if=${blobPath(storage, digest)}`, 'iflag=nocache', 'count=0'], bench)
}

interface Stored {
  mediaType: string
  digest: string
  size: number
}

function blobPath(storage: string, digest: string): string {
  const hex = digest.slice('sha256:'.length)
  return path.join(storage, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data')
}

/** Over layers that lie there. */
async function writeImage(storage: string, layers: Stored[]): Promise<void> {
  const put = async (text: string): Promise<string> => {
    const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`
    await write(blobPath(storage, digest), text)
    return digest
  }
  const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: await put('{}'), size: 2 }
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const digest = await put(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }))
  const manifests = path.join(storage, `docker/registry/v2/repositories/${repository}/_manifests`)
  await write(path.join(manifests, 'revisions/sha256', digest.slice('sha256:'.length), 'link'), digest)
  await write(path.join(manifests, 'tags/1/current/link'), digest)
}

async function write(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, text)
}
