/**
 * Import: an archive is looked through first, then its blobs go into the node's store, then manifests, then tags. So whatever
 * is wrong with it, no tag points to what is not whole; and what arrived before it broke off need not come again.
 */
import { stat } from 'node:fs/promises'
import {
  ArchiveError,
  type ArchiveFiles,
  decodeRecords,
  type ImageList,
  maxRecordFileBytes,
  type OtherContent,
  openFolderFiles,
  openTarFiles,
  readImageList,
  recordFileName,
} from '../../src/archive/archive.ts'
import { systemReason } from '../../src/base/base.ts'
import type { Descriptor, Digest, Repository, Tag } from '../../src/oci/oci.ts'
import { readRecordKey } from '../../src/records/records.ts'
import type { ContentClient } from '../admin/content-client.ts'
import { perform } from '../admin/perform.ts'
import type { ImportOutcome } from '../operations/archive.ts'
import { formatImageName } from '../operations/image-name.ts'
import type { Settings } from '../settings/settings.ts'
import { type ImportPlan, type PlannedManifest, planImport } from './archive-plan.ts'

export interface ImportOptions {
  settings: Settings
  content: ContentClient
  input: string
  as: Repository | undefined
  onBlob(blob: Descriptor, state: 'held' | 'coming' | 'here'): void
  signal: AbortSignal
}

export interface ImportedImage extends ImportOutcome {
  /** `repository:tag`, or `repository@digest` where it has no tag. */
  name: string
  imported: Digest
}

export const blobsAtOnce = 4
const digestsAtOnce = 1_000
const maxRecords = 200_000

export async function importImages(options: ImportOptions): Promise<ImportedImage[]> {
  const { input, as, signal } = options
  const isFolder = await isDirectory(input)
  await using files = isFolder ? await openFolderFiles(input) : await openTarFiles(input, { signal })
  const list = await readImageList(files)
  const records = await RecordBook.read(files)
  const plans = await planImport(list, { as, repositoriesOf: (digest) => records.repositoriesOf(digest) })
  // A tar file is read once, from its beginning.
  const atOnce = isFolder ? blobsAtOnce : 1
  const from = { ...list, ...files, chunks: (path: string) => files.chunks(path, { signal }) }
  await bringBlobs({ ...options, atOnce, onBytes: () => undefined }, from, plans)
  const images: ImportedImage[] = []
  for (const plan of plans) images.push(...(await publish({ ...options, records }, list, plan)))
  return images
}

async function isDirectory(input: string): Promise<boolean> {
  try {
    return (await stat(input)).isDirectory()
  } catch (cause) {
    throw new ArchiveError(`${input} cannot be read: ${systemReason(cause)}`, { cause })
  }
}

interface BringOptions extends Pick<ImportOptions, 'settings' | 'content' | 'onBlob'> {
  atOnce: number
  /** Hears of bytes as they come. */
  onBytes(bytes: number): void
}

/** Those that the node does not hold, in the order in which they were found. */
export async function bringBlobs(
  { settings, content, onBlob, onBytes, atOnce }: BringOptions,
  source: Pick<OtherContent, 'name' | 'findBlob' | 'chunks' | 'pathOf'>,
  plans: ImportPlan[],
): Promise<void> {
  const blobs = new Map(plans.flatMap((plan) => [...plan.blobs]))
  const missing = await listMissing(settings, [...blobs.keys()])
  const coming: { blob: Descriptor; path: string }[] = []
  for (const blob of blobs.values()) {
    if (!missing.has(blob.digest)) {
      onBlob(blob, 'held')
      continue
    }
    const path = await source.findBlob(blob)
    if (path === undefined)
      throw new ArchiveError(
        `${source.name} lacks ${blob.digest}, which its images need and the node does not hold`,
      )
    coming.push({ blob, path })
  }
  // The node reads by itself what it can: bytes that go through this process take several times as long.
  const isRead = async ({ digest, size }: Descriptor, file: string | undefined): Promise<boolean> => {
    if (file === undefined) return false
    const params = { digest, size, file }
    return (await perform(settings, 'import-blob', params, ({ bytes }) => onBytes(bytes))).isHere
  }
  const next = coming.values()
  const bring = async (): Promise<void> => {
    for (const { blob, path } of next) {
      onBlob(blob, 'coming')
      if (!(await isRead(blob, source.pathOf?.(path))))
        await content.write(blob.digest, blob.size, counted(source.chunks(path), onBytes))
      onBlob(blob, 'here')
    }
  }
  const outcomes = await Promise.allSettled(Array.from({ length: atOnce }, bring))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    onBytes(chunk.length)
    yield chunk
  }
}

interface PublishOptions {
  settings: Settings
  records: RecordBook
  /** A tag that stands for something else here stays. Default it is as the archive says, unless a record is newer. */
  keepsTags?: boolean
}

/** Its blobs are in the store. */
export async function publish(
  { settings, records, keepsTags = false }: PublishOptions,
  list: Pick<ImageList, 'readManifest'>,
  { repository, root, tags, manifests }: ImportPlan,
): Promise<ImportedImage[]> {
  let outcome: ImportOutcome = { stands: 'imported' }
  for (const manifest of manifests)
    outcome = await publishManifest(settings, list, records, repository, manifest)
  if (tags.length === 0)
    return [{ name: formatImageName(repository, root), imported: root.digest, ...outcome }]
  const images: ImportedImage[] = []
  for (const tag of tags) {
    const record = records.tag(repository, tag)
    const stands = await perform(settings, 'import-tag', {
      repository,
      tag,
      ...root,
      ...(keepsTags ? { keep: true } : {}),
      ...(record === undefined ? {} : { record }),
    })
    images.push({ name: formatImageName(repository, { tag }), imported: root.digest, ...stands })
  }
  return images
}

async function publishManifest(
  settings: Settings,
  list: Pick<ImageList, 'readManifest'>,
  records: RecordBook,
  repository: Repository,
  manifest: PlannedManifest,
): Promise<ImportOutcome> {
  const record = records.manifest(repository, manifest.digest)
  return await perform(settings, 'import-manifest', {
    repository,
    digest: manifest.digest,
    mediaType: manifest.mediaType,
    absent: manifest.absent,
    bytes: Buffer.from(await list.readManifest(manifest)).toString('base64'),
    ...(record === undefined ? {} : { record }),
  })
}

async function listMissing(settings: Settings, digests: Digest[]): Promise<Set<string>> {
  const missing = new Set<string>()
  for (let from = 0; from < digests.length; from += digestsAtOnce) {
    const page = await perform(settings, 'import-missing', {
      digests: digests.slice(from, from + digestsAtOnce),
    })
    for (const digest of page.missing) missing.add(digest)
  }
  return missing
}

/** The records of an archive, by what they are about; in Base64. */
export class RecordBook {
  readonly #records = new Map<string, string>()
  readonly #repositories = new Map<Digest, Repository[]>()

  /** Empty where the archive has none. Throws ArchiveError, and `MALFORMED` for a record that is none. */
  static async read(files: ArchiveFiles): Promise<RecordBook> {
    const book = new RecordBook()
    const found = await files.find(recordFileName)
    if (found === undefined) return book
    if (found.size > maxRecordFileBytes) throw new ArchiveError(`${recordFileName} has ${found.size} bytes`)
    for await (const record of decodeRecords(files.chunks(recordFileName))) book.#add(record)
    return book
  }

  tag(repository: Repository, tag: Tag): string | undefined {
    return this.#records.get(formatImageName(repository, { tag }))
  }

  manifest(repository: Repository, digest: Digest): string | undefined {
    return this.#records.get(formatImageName(repository, { digest }))
  }

  repositoriesOf(digest: Digest): Repository[] {
    return this.#repositories.get(digest) ?? []
  }

  #add(record: Uint8Array): void {
    const key = readRecordKey(record)
    if (!('repository' in key)) return
    if (this.#records.size >= maxRecords)
      throw new ArchiveError(`${recordFileName} has more than ${maxRecords} records`)
    this.#records.set(formatImageName(key.repository, key), Buffer.from(record).toString('base64'))
    if (key.kind === 'manifest') {
      this.#repositories.set(key.digest, [...this.repositoriesOf(key.digest), key.repository])
    }
  }
}
