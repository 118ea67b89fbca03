/**
 * Makes the golden data directory of the present format, which later versions have to open:
 * `node scripts/golden-data.ts`. To be run once, when a format is new; an archive that exists is never written again.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { callRunningNode } from '../node/admin/client.ts'
import { dataFormat } from '../node/data-format.ts'
import { openLocalNode } from '../node/local-node.ts'
import { createLogger } from '../node/logger.ts'
import type { PeerList } from '../node/operations/operations.ts'
import { readSettings } from '../node/settings/settings.ts'
import { layoutOf } from '../src/exchange/protocol/piece-size.ts'
import { parseDigest } from '../src/oci/oci.ts'
import { type Client, openClient, pushItem, startUpload } from '../test/e2e/client.ts'
import { run } from '../test/e2e/command.ts'
import { type GoldenData, goldenArchive, goldenUpload } from '../test/e2e/golden-data.ts'
import { contentsOf, type Index, jsonContent, makeImage, sha256 } from '../test/e2e/image.ts'
import { openRegistry, type Registry } from '../test/e2e/registry.ts'
import { openScratchFolder } from '../test/e2e/scratch-folder.ts'
import { deleteTag, pushSmall, smallManifest } from '../test/netns/names.ts'

const repository = 'golden/app'
const uploadOffset = 12_345
const partialBytes = Buffer.alloc(600_000, 'a piece that compresses well, ')
const clock = path.join(import.meta.dirname, '../test/netns/stepped-clock.ts')
/** The node's clock, so that no machine's clock is behind the data. */
const madeMs = Date.UTC(2026, 0, 1)

const archive = goldenArchive(dataFormat)
if (existsSync(archive)) throw new Error(`${archive} exists; a format that has changed has another number`)
await using folder = await openScratchFolder()
await writeFile(folder.at('ahead'), `${madeMs - Date.now()}`)
await using registry = await openRegistry({
  env: { NODE_OPTIONS: `--import=${clock}`, TEST_CLOCK: folder.at('ahead') },
})
const golden = await fill(registry)
await registry.stop()
await addPartial(registry.data)
await cp(registry.data, folder.at('data'), { recursive: true })
await writeFile(folder.at('golden.json'), `${JSON.stringify(golden, null, 2)}\n`)
await mkdir(path.dirname(archive), { recursive: true })
const plain = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mtime=2026-01-01T00:00:00Z']
const tar = ['--create', '--gzip', '--file', archive, '--directory', folder.path, ...plain]
await run('tar', [...tar, 'golden.json', 'data'])
console.log(archive)

async function fill({ port, data }: Registry): Promise<GoldenData> {
  using client = openClient(port)
  const image = makeImage({ seed: 'golden', layerBytes: [2_000, 5_000] })
  const index = smallIndex()
  const note = smallManifest('golden note', image.manifest)
  await pushItem(client, repository, '1', image)
  await pushItem(client, repository, 'v1', image)
  await pushItem(client, repository, 'multi', index)
  await pushSmall(client, repository, note.descriptor.digest, note)
  await pushSmall(client, repository, 'gone', smallManifest('golden gone'))
  await deleteTag(client, repository, 'gone')
  const policy = { rules: [], immutable: [{ repositories: 'golden/**', tags: 'v*' }], banned: [] }
  await callRunningNode(data, 'policy-set', { policy }, () => undefined)
  const account = { name: 'ann', password: 'golden password', groups: ['golden'] }
  await callRunningNode(data, 'account-add', account, () => undefined)
  const peers = await callRunningNode(data, 'peers', {}, () => undefined)
  if (peers === undefined) throw new Error('the node does not answer')
  const { self } = peers.result as PeerList
  const blobs = [image, index].flatMap(contentsOf).map(({ descriptor }) => descriptor.digest)
  const manifests = [image, ...index.images, index].map(({ manifest }) => manifest.descriptor.digest)
  return {
    peer: self.peer,
    cluster: self.cluster,
    repository,
    tags: {
      '1': image.manifest.descriptor.digest,
      multi: index.manifest.descriptor.digest,
      v1: image.manifest.descriptor.digest,
    },
    deletedTag: 'gone',
    blobs: [...new Set(blobs)].filter((digest) => !manifests.includes(digest)),
    referrer: { subject: image.manifest.descriptor.digest, digest: note.descriptor.digest },
    immutableTag: 'v1',
    account: { name: account.name, password: account.password },
    upload: await beginUpload(client),
    partial: { digest: sha256(partialBytes), size: partialBytes.length, held: 1 },
  }
}

function smallIndex(): Index {
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  const images = (['amd64', 'arm64'] as const).map((architecture) =>
    makeImage({ seed: 'golden index', architecture, layerBytes: [1_000] }),
  )
  const manifests = images.map(({ manifest }) => manifest.descriptor)
  return { images, manifest: jsonContent(mediaType, { schemaVersion: 2, mediaType, manifests }) }
}

async function beginUpload(client: Client): Promise<GoldenData['upload']> {
  const location = await startUpload(client, repository)
  const body = goldenUpload.subarray(0, uploadOffset)
  const patch = await client.ask('PATCH', location, { body })
  return { location: String(patch.headers.location), offset: uploadOffset }
}

/** As if the first piece had come from a member when the node was stopped. */
async function addPartial(data: string): Promise<void> {
  const { settings } = readSettings(['--data', data], {})
  await using node = await openLocalNode({ settings, logger: createLogger('warn'), create: false })
  const { size, pieceBytes, count } = layoutOf(partialBytes.length)
  const pieces = Array.from({ length: count }, (_, piece) =>
    Uint8Array.from(partialBytes.subarray(piece * pieceBytes, (piece + 1) * pieceBytes)),
  )
  const hashes = Buffer.concat(pieces.map((piece) => createHash('sha256').update(piece).digest()))
  await using part = await node.store.partials.open({
    digest: parseDigest(sha256(partialBytes)),
    size,
    pieceBytes,
    hashes,
  })
  const [first] = pieces
  if (first === undefined || !(await part.write(0, [first]))) throw new Error('the piece was not taken')
}
