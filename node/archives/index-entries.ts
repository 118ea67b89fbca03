/** The entries of an archive's index.json: made from images, and joined with those that a folder has already. */
import {
  decodeRecords,
  fullName,
  maxRecordFileBytes,
  nameAnnotations,
  openFolderFiles,
  parseArchivedName,
  readSmall,
  recordFileName,
  refName,
} from '../../src/archive/archive.ts'
import { type Descriptor, maxManifestBytes } from '../../src/oci/oci.ts'
import type { WarmRoot } from '../operations/warm.ts'

export interface IndexEntry extends Descriptor {
  annotations?: Record<string, string>
}

/**
 * Images by their tag where they are all of one repository, as `skopeo copy oci:DIR:TAG` asks for them, and by
 * `repository:tag` where they are not. Referrers have no name: their readers find them by their subject.
 */
export function namedEntries(roots: WarmRoot[], referrers: Descriptor[]): IndexEntry[] {
  const isOne = new Set(roots.map(({ repository }) => repository)).size === 1
  const named = roots.map(({ repository, tag, digest, mediaType, size }): IndexEntry => {
    const descriptor = { mediaType, digest, size }
    if (tag === undefined) return descriptor
    return {
      ...descriptor,
      annotations: nameAnnotations(repository, tag, isOne ? tag : `${repository}:${tag}`),
    }
  })
  return [...named, ...referrers]
}

/** What is new takes the place of what had its name; where another repository has its tag, it goes by its whole name. */
export function mergeEntries(known: IndexEntry[], added: IndexEntry[]): IndexEntry[] {
  const names = new Set(added.map(identityOf))
  const kept = known.filter((entry) => !names.has(identityOf(entry)))
  const taken = new Set(kept.map(({ annotations }) => annotations?.[refName]))
  const distinct = added.map((entry) => {
    const { annotations } = entry
    if (annotations === undefined || !taken.has(annotations[refName])) return entry
    const { repository, tag } = parseArchivedName(annotations[fullName] ?? '')
    return { ...entry, annotations: nameAnnotations(repository, tag, `${repository}:${tag}`) }
  })
  return [...kept, ...distinct]
}

export async function readEntries(folder: string): Promise<IndexEntry[]> {
  await using files = await openFolderFiles(folder)
  const bytes = await readSmall(files, 'index.json', maxManifestBytes)
  // Written by an earlier export, or by a tool that wrote the same format.
  return bytes === undefined
    ? []
    : (JSON.parse(Buffer.from(bytes).toString('utf8')) as { manifests: IndexEntry[] }).manifests
}

/** In Base64. */
export async function readRecords(folder: string): Promise<string[]> {
  await using files = await openFolderFiles(folder)
  const found = await files.find(recordFileName)
  if (found === undefined || found.size > maxRecordFileBytes) return []
  const records: string[] = []
  for await (const record of decodeRecords(files.chunks(recordFileName))) {
    records.push(Buffer.from(record).toString('base64'))
  }
  return records
}

function identityOf({ digest, annotations }: IndexEntry): string {
  return annotations?.[fullName] ?? `${digest} ${annotations?.[refName] ?? ''}`
}
