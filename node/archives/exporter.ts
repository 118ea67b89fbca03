/** Export: what images consist of is brought to the node, and copied from there into an archive. */
import {
  type ArchiveWriter,
  encodeRecords,
  isLayoutFolder,
  openFolderWriter,
  openTarWriter,
  recordFileName,
} from '../../src/archive/archive.ts'
import { CodedError } from '../../src/base/base.ts'
import { type Descriptor, type Digest, mediaTypes, type Repository } from '../../src/oci/oci.ts'
import type { ContentClient } from '../admin/content-client.ts'
import { perform } from '../admin/perform.ts'
import type { NamedRecord } from '../operations/archive.ts'
import type { WarmEvent, WarmRoot } from '../operations/warm.ts'
import type { Settings } from '../settings/settings.ts'
import { type IndexEntry, mergeEntries, namedEntries, readEntries, readRecords } from './index-entries.ts'

export interface ExportOptions {
  settings: Settings
  content: ContentClient
  images: string[]
  platforms: string[] | undefined
  /** A folder, or a file that ends with `.tar`. */
  output: string
  onEvent(event: WarmEvent): void
}

export interface ExportReport {
  images: string[]
  blobs: number
  bytes: number
  /** Of the blobs, how many were in the folder already. */
  skipped: number
}

/** Not everything could be had, so nothing was written. */
export class ExportIncompleteError extends CodedError {
  readonly code = 'EXPORT_INCOMPLETE'
}

/** The output cannot become an archive. */
export class OutputError extends CodedError {
  readonly code = 'OUTPUT'
}

interface Contents {
  roots: WarmRoot[]
  referrers: Map<Digest, Descriptor>
  /** Each with a repository through which it can be read. */
  blobs: Map<Digest, Descriptor & { repository: Repository }>
  records: NamedRecord[]
}

const recordsAtOnce = 1_000

export async function exportImages(options: ExportOptions): Promise<ExportReport> {
  const { settings, content, images, output } = options
  const isTar = output.endsWith('.tar')
  if (!isTar && !(await isLayoutFolder(output)))
    throw new OutputError(
      `${output} is neither an empty folder nor an image layout; name a new folder, or a .tar file`,
    )
  const contents = await gather(options)
  const records = await fetchRecords(settings, contents.records)
  const entries = namedEntries(contents.roots, [...contents.referrers.values()])
  await using writer = await openWriter(output, isTar)
  const report: ExportReport = { images, blobs: 0, bytes: 0, skipped: 0 }
  const copy = async (): Promise<void> => {
    for (const { repository, ...blob } of contents.blobs.values()) {
      report.blobs++
      report.bytes += blob.size
      if (await writer.hasBlob(blob)) report.skipped++
      else await writer.putBlob(blob, content.read(repository, blob.digest))
    }
  }
  if (isTar) {
    await putIndex(writer, entries, records)
    await copy()
  } else {
    // The index last: a folder whose export broke off promises nothing that it does not hold.
    await copy()
    const known = await readRecords(output)
    await putIndex(writer, mergeEntries(await readEntries(output), entries), [
      ...new Set([...known, ...records]),
    ])
  }
  await writer.finish()
  return report
}

async function openWriter(output: string, isTar: boolean): Promise<ArchiveWriter> {
  try {
    return isTar ? await openTarWriter(output) : await openFolderWriter(output)
  } catch (cause) {
    throw new OutputError(`${output} cannot be written: ${(cause as Error).message}`, { cause })
  }
}

async function putIndex(writer: ArchiveWriter, entries: IndexEntry[], records: string[]): Promise<void> {
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries }
  await writer.putFile('oci-layout', '{"imageLayoutVersion":"1.0.0"}')
  await writer.putFile(recordFileName, encodeRecords(records.map((record) => Buffer.from(record, 'base64'))))
  await writer.putFile('index.json', JSON.stringify(index, null, 2))
}

async function gather({ settings, images, platforms, onEvent }: ExportOptions): Promise<Contents> {
  const contents: Contents = { roots: [], referrers: new Map(), blobs: new Map(), records: [] }
  const params = { images, mayBeStopped: true, ...(platforms === undefined ? {} : { platforms }) }
  const result = await perform(settings, 'warm', params, (event) => {
    onEvent(event)
    note(contents, event)
  })
  const missing = result.images.flatMap((image) => image.missing)
  if (missing.length > 0)
    throw new ExportIncompleteError(
      `nothing was written, as not everything could be had:\n  ${missing.join('\n  ')}`,
    )
  return contents
}

function note({ roots, referrers, blobs, records }: Contents, event: WarmEvent): void {
  if (event.type === 'image') {
    roots.push(event)
    if (event.tag !== undefined) records.push({ repository: event.repository, tag: event.tag })
  } else if (event.type === 'part' && (event.state === 'held' || event.state === 'here')) {
    const repository = roots.at(-1)?.repository
    if (repository === undefined) return
    const { digest, mediaType, size, tag } = event
    blobs.set(digest, { digest, mediaType, size, repository })
    if (event.kind === 'manifest') records.push({ repository, digest })
    if (tag !== undefined) {
      roots.push({ repository, tag, digest, mediaType, size })
      records.push({ repository, tag })
    } else if (event.isReferrer) referrers.set(digest, { digest, mediaType, size })
  }
}

async function fetchRecords(settings: Settings, names: NamedRecord[]): Promise<string[]> {
  const records: string[] = []
  for (let from = 0; from < names.length; from += recordsAtOnce) {
    const page = await perform(settings, 'records', { names: names.slice(from, from + recordsAtOnce) })
    records.push(...page.records)
  }
  return records
}
