/** Makes the data directory of a node that holds many images, as pushes would have left it, without pushing each: in minutes, not in hours. */
import { createHash } from 'node:crypto'
import path from 'node:path'
import { type LocalNode, openLocalNode } from '../../node/local-node.ts'
import { readSettings } from '../../node/settings/settings.ts'
import { silentLogger } from '../../src/base/base.ts'
import {
  type Digest,
  manifestFacts,
  parseDigest,
  parseManifest,
  parseRepository,
  parseTag,
  type Repository,
} from '../../src/oci/oci.ts'
import type { Change } from '../../src/records/records.ts'
import { type Database, linkKey, openTables, referenceKey } from '../../src/store/database/database.ts'
import { BlockSums, encodeSums } from '../../src/store/files/block-sums.ts'
import { openDatabase } from '../../src/store/store.ts'
import { blobsOf, writeBlobs } from './blob-writer.ts'
import { configType, layerType, manifestType, renderManifest } from './image.ts'

const imagesPerRepository = 1000
const rowsAtOnce = 10_000
const imagesAtOnce = 500

interface BlobRow {
  digest: Digest
  repository: Repository
  parent: Digest
  sums: Uint8Array
}

interface Image {
  repository: Repository
  tag: string
  digest: Digest
  bytes: Buffer
  blobs: Digest[]
}

/** Images with a tag and ten blobs each, which no two of them share. `dataDir` is not there yet. */
export async function fillStore(
  dataDir: string,
  images: number,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const { settings } = readSettings(['--data', dataDir], {})
  const open = () => openLocalNode({ settings, logger: silentLogger, create: true })
  // Makes all that is there at a first start.
  await (await open())[Symbol.asyncDispose]()
  const writing = writeBlobs(path.join(dataDir, 'blobs', 'sha256'), images, { signal })
  try {
    const made = Array.from({ length: images }, (_, image) => imageOf(image))
    const database = await openDatabase(dataDir)
    try {
      await writeRows(database, made, signal)
    } finally {
      await database.close()
    }
    await using node = await open()
    await publish(node, made, signal)
  } finally {
    await writing
  }
}

function imageOf(number: number): Image {
  const [config, ...layers] = blobsOf(number).map(({ hex, bytes }, part) => ({
    mediaType: part === 0 ? configType : layerType,
    digest: parseDigest(`sha256:${hex}`),
    size: bytes.length,
  }))
  if (config === undefined) throw new Error('an image without a config')
  const bytes = Buffer.from(renderManifest(config, layers))
  return {
    repository: parseRepository(`bench/repository-${Math.floor(number / imagesPerRepository)}`),
    tag: `tag-${number}`,
    digest: parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`),
    bytes,
    blobs: [config, ...layers].map(({ digest }) => digest),
  }
}

/** In order of keys, which spares LevelDB most of its compactions. */
async function writeRows(database: Database, images: Image[], signal: AbortSignal): Promise<void> {
  const tables = openTables(database)
  const now = String(Date.now())
  const blobs = images.flatMap(blobRowsOf).sort(byDigest)
  const manifests = images.toSorted(byDigest)
  const write = <T>(rows: T[], add: (batch: ReturnType<Database['batch']>, row: T) => void) =>
    inBatches(database, rows, add, signal)
  await write(blobs, (batch, { digest, repository }) =>
    batch.put(linkKey(digest, repository), now, { sublevel: tables.links }),
  )
  await write(blobs, (batch, { digest, repository, parent }) =>
    batch.put(referenceKey(digest, repository, parent), '', { sublevel: tables.references }),
  )
  await write(blobs, (batch, { digest, sums }) =>
    batch.put(digest, sums, { sublevel: tables.sums, valueEncoding: 'view' }),
  )
  await write(manifests, (batch, { repository, digest, bytes, blobs }) => {
    batch.put(linkKey(digest, repository), now, { sublevel: tables.links })
    batch.put(linkKey(digest, repository), blobs, { sublevel: tables.children, valueEncoding: 'json' })
    batch.put(digest, bytes, { sublevel: tables.manifests, valueEncoding: 'view' })
  })
}

function blobRowsOf({ repository, digest: parent, blobs }: Image, image: number): BlobRow[] {
  const contents = blobsOf(image)
  return blobs.map((digest, part) => {
    const bytes = contents[part]?.bytes ?? Buffer.of()
    const sums = new BlockSums()
    sums.update(bytes)
    return { digest, repository, parent, sums: encodeSums({ size: bytes.length, sums: sums.finish() }) }
  })
}

function byDigest(one: { digest: Digest }, other: { digest: Digest }): number {
  return one.digest < other.digest ? -1 : 1
}

async function inBatches<T>(
  database: Database,
  rows: T[],
  add: (batch: ReturnType<Database['batch']>, row: T) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let first = 0; first < rows.length; first += rowsAtOnce) {
    signal.throwIfAborted()
    const batch = database.batch()
    for (const row of rows.slice(first, first + rowsAtOnce)) add(batch, row)
    await batch.write()
  }
}

async function publish({ names }: LocalNode, images: Image[], signal: AbortSignal): Promise<void> {
  for (let first = 0; first < images.length; first += imagesAtOnce) {
    signal.throwIfAborted()
    await names.publish(images.slice(first, first + imagesAtOnce).flatMap(changesOf))
  }
}

function changesOf({ repository, tag, digest, bytes }: Image): Change[] {
  const manifest = parseManifest(bytes, manifestType)
  const value = { digest, mediaType: manifest.mediaType, size: bytes.length }
  return [
    { kind: 'manifest', repository, digest, value: manifestFacts(manifest, bytes.length) },
    { kind: 'tag', repository, tag: parseTag(tag), value },
  ]
}
