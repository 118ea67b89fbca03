/** Operations behind `shoal export` and `shoal import`: records as they are signed, and images whose blobs are here already. */
import { CodedError } from '../../src/base/base.ts'
import {
  type Digest,
  manifestFacts,
  maxAbsent,
  mayBeMissing,
  parseDigest,
  parseManifest,
  parseRepository,
  parseTag,
  type Repository,
  type Tag,
} from '../../src/oci/oci.ts'
import { type RecordKey, readRecordKey } from '../../src/records/records.ts'
import type { Operation, OperationContext } from './operations.ts'
import { tagManifest } from './publish.ts'

export type NamedRecord = { repository: string; tag: string } | { repository: string; digest: string }

export interface ImportedManifest {
  repository: string
  digest: string
  mediaType: string
  /** In Base64, as is `record`. */
  bytes: string
  /** Manifests of an index that the archive does not hold. */
  absent: string[]
  /** Absent: it is published as this node's own. */
  record?: string
}

export interface ImportedTag {
  repository: string
  tag: string
  digest: string
  mediaType: string
  size: number
  /** A tag that stands for something else here stays. */
  keep?: boolean
  record?: string
}

/** What stands now: what was imported, something newer, or a deletion that is newer. */
export interface ImportOutcome {
  stands: 'imported' | 'newer' | 'deleted'
  /** Of what is newer. */
  digest?: Digest
}

/** A record of an archive that this cluster does not accept, or that is about something else than it should be. */
export class RecordRefusedError extends CodedError {
  readonly code = 'RECORD_REFUSED'
}

export const findRecords: Operation<'records'> = async ({ node }, { names }) => {
  const records = names.map((name) => node.names.findRecord(keyOf(name)))
  return {
    records: records.flatMap((record) =>
      record === undefined ? [] : [Buffer.from(record).toString('base64')],
    ),
  }
}

export const listMissing: Operation<'import-missing'> = async ({ node }, { digests }) => {
  const missing: string[] = []
  for (const digest of digests.map(parseDigest)) {
    if ((await node.store.blobs.stat(digest)) === undefined) missing.push(digest)
  }
  return { missing }
}

/** Its blobs are in the store, and its manifests were imported before it. */
export const importManifest: Operation<'import-manifest'> = async (context, imported) => {
  const { store, names } = context.node
  const { digest, repository, mediaType } = { ...imported, ...parseNames(imported) }
  const bytes = Buffer.from(imported.bytes, 'base64')
  const manifest = parseManifest(bytes, mediaType)
  const absent = new Set(imported.absent)
  const descriptors = [...manifest.blobs, ...manifest.manifests]
  const references = [...new Set(descriptors.map((descriptor) => descriptor.digest))]
  const isForeign = new Set(descriptors.filter(mayBeMissing).map((descriptor) => descriptor.digest))
  const required = references.filter((reference) => !absent.has(reference) && !isForeign.has(reference))
  // As a push: nothing of it is collected before its records say that it lives.
  return await store.hold([digest, ...references], async () => {
    const blobs: Digest[] = []
    for (const blob of descriptors) {
      if ((await store.blobs.stat(blob.digest)) !== undefined) blobs.push(blob.digest)
    }
    await store.links.add(repository, blobs)
    await store.manifests.put({ repository, digest, bytes, references, required })
    context.member?.elsewhere.announce([digest, ...blobs])
    if (imported.record === undefined) {
      const lacking = references.filter((reference) => absent.has(reference)).slice(0, maxAbsent)
      const value = manifestFacts(manifest, bytes.length, lacking)
      // What is here already need not be said again: an import that is run again leaves no trace.
      const standing = await names.findManifest(repository, digest)
      const isSame = standing?.mediaType === mediaType && (standing.absent?.length ?? 0) === lacking.length
      if (!isSame) await names.publish([{ kind: 'manifest', repository, digest, value }])
      return { stands: 'imported' }
    }
    await applyRecord(context, imported.record, { kind: 'manifest', repository, digest })
    const isLive = (await names.findManifest(repository, digest)) !== undefined
    return { stands: isLive ? 'imported' : 'deleted' }
  })
}

export const importTag: Operation<'import-tag'> = async (context, imported) => {
  const { names } = context.node
  const { repository, digest } = parseNames(imported)
  const tag = parseTag(imported.tag)
  if ((await names.findManifest(repository, digest)) === undefined) return { stands: 'deleted' }
  if (imported.record === undefined) {
    const here = await names.findTag(repository, tag)
    if (here?.digest === digest) return { stands: 'imported' }
    if (here !== undefined && imported.keep === true) return { stands: 'newer', digest: here.digest }
  }
  if (imported.record !== undefined)
    await applyRecord(context, imported.record, { kind: 'tag', repository, tag })
  else await names.publish(tagManifest(context, { repository, tag, digest }))
  const standing = await names.findTag(repository, tag)
  if (standing === undefined) return { stands: 'deleted' }
  return standing.digest === digest ? { stands: 'imported' } : { stands: 'newer', digest: standing.digest }
}

/** Throws RecordRefusedError. One that is older than what stands changes nothing. */
async function applyRecord(
  { node }: OperationContext,
  record: string,
  key: RecordKey & { kind: 'manifest' | 'tag' },
): Promise<void> {
  const bytes = Buffer.from(record, 'base64')
  if (nameOf(readRecordKey(bytes)) !== nameOf(key))
    throw new RecordRefusedError(`the archive has a record of something else for ${nameOf(key)}`)
  const { refused } = await node.names.apply([bytes], { wanted: () => true })
  const [reason] = Object.keys(refused)
  if (reason !== undefined)
    throw new RecordRefusedError(`the record of ${nameOf(key)} is refused: ${reasons[reason] ?? reason}`)
}

const reasons: Partial<Record<string, string>> = {
  malformed: 'it is damaged',
  signature: 'its signature is wrong',
  forged: 'only the cluster authority may sign it',
  ahead: 'its time is in the future',
  policy: 'the policy does not let its author publish there',
  expired: 'it is a deletion too old to count',
}

function nameOf(key: RecordKey): string {
  if (key.kind === 'tag') return `${key.repository}:${key.tag}`
  return key.kind === 'manifest' ? `${key.repository}@${key.digest}` : key.kind
}

function keyOf(name: NamedRecord): RecordKey {
  const repository = parseRepository(name.repository)
  return 'tag' in name
    ? { kind: 'tag', repository, tag: parseTag(name.tag) as Tag }
    : { kind: 'manifest', repository, digest: parseDigest(name.digest) }
}

function parseNames(given: { repository: string; digest: string }): {
  repository: Repository
  digest: Digest
} {
  return { repository: parseRepository(given.repository), digest: parseDigest(given.digest) }
}
