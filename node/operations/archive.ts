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
import { type RecordKey, readRecordKey, readRestored } from '../../src/records/records.ts'
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

/** Commands may run as others, with other folders: what the node cannot read comes over the socket. */
export const importBlob: Operation<'import-blob'> = async (
  { node },
  { digest, size, file },
  emit,
  { signal },
) => {
  const onBytes = (bytes: number): void => emit({ bytes })
  return {
    isHere: await node.store.copyFile(parseDigest(digest), { path: file, size }, { signal, onBytes }),
  }
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
    const key = { kind: 'manifest', repository, digest } as const
    if (!(await takeRecord(context, imported.record, key))) {
      const lacking = references.filter((reference) => absent.has(reference)).slice(0, maxAbsent)
      const value = manifestFacts(manifest, bytes.length, lacking)
      // What is here already need not be said again: an import that is run again leaves no trace.
      const standing = await names.findManifest(repository, digest)
      const isSame = standing?.mediaType === mediaType && (standing.absent?.length ?? 0) === lacking.length
      if (!isSame) await names.publish([{ ...key, value }])
      return { stands: 'imported' }
    }
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
  if (!(await takeRecord(context, imported.record, { kind: 'tag', repository, tag })))
    await names.publish(tagManifest(context, { repository, tag, digest }))
  const standing = await names.findTag(repository, tag)
  if (standing === undefined) return { stands: 'deleted' }
  return standing.digest === digest ? { stands: 'imported' } : { stands: 'newer', digest: standing.digest }
}

/**
 * One that is older than what stands changes nothing. A seal that counts no more is taken for what it seals. False where there is no
 * record, or only one that the authority of before signed while nothing else is known of the name: nobody can tell when that was
 * signed, so it is for this node to say. Throws RecordRefusedError.
 */
async function takeRecord(
  { node: { names } }: OperationContext,
  record: string | undefined,
  key: RecordKey & { kind: 'manifest' | 'tag' },
): Promise<boolean> {
  if (record === undefined) return false
  const bytes = Buffer.from(record, 'base64')
  if (nameOf(readRecordKey(bytes)) !== nameOf(key))
    throw new RecordRefusedError(`the archive has a record of something else for ${nameOf(key)}`)
  const { original } = readRestored(bytes)
  const apply = async (one: Uint8Array): Promise<string | undefined> => {
    const { refused } = await names.apply([one], { wanted: () => true })
    return Object.keys(refused)[0]
  }
  let reason = await apply(bytes)
  if (reason === 'policy' && original !== undefined) reason = await apply(original)
  if (reason === undefined) return true
  const { root, now, handovers } = names.authority.state()
  const { signer } = readRestored(original ?? bytes)
  const wasAuthority = signer !== now && [root, ...handovers.map(({ to }) => to)].includes(signer)
  if (reason === 'policy' && wasAuthority) return names.findRecord(key) !== undefined
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
