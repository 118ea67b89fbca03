/** Push: upload sessions, mounts, and manifests that are stored first and published after. */
import {
  algorithmOf,
  type Digest,
  type DigestAlgorithm,
  digestBytes,
  isBlobType,
  isUnavailable,
  manifestFacts,
  maxAbsent,
  mayBeMissing,
  OciError,
  type ParsedManifest,
  parseManifest,
  type Reference,
  type Repository,
  type Tag,
  upstreamOf,
} from '../oci/oci.ts'
import type { Change } from '../records/records.ts'
import { BlobMissingError, type UploadState } from '../store/store.ts'
import { keepManifest } from './fetched-manifest.ts'
import { findHome } from './home.ts'
import { checkNesting } from './nesting.ts'
import { refusalOf } from './refusal.ts'
import type { Collaborators } from './registry.ts'

export type StartedUpload = { mounted: { digest: Digest; size: number } } | { upload: UploadState }

export interface StartOptions {
  mount?: { digest: Digest; from?: Repository }
  algorithm?: DigestAlgorithm
  /** From where who asks may mount; default from everywhere. */
  mayMountFrom?: (source: Repository) => boolean
  /** Who uploads: one client's sessions make room for its own before they do for another's. */
  client?: string
}

export interface PushedManifest {
  digest: Digest
  mediaType: string
  /** Those that point to it now: of the reference and the rest. */
  tags: Tag[]
  subject?: Digest
}

export interface Push {
  /** A mount that finds its blob needs no upload; one that does not is an upload like any other. */
  startUpload(repository: Repository, options?: StartOptions): Promise<StartedUpload>
  /** Throws `BLOB_UPLOAD_UNKNOWN`. */
  getUpload(repository: Repository, id: string): Promise<UploadState>
  /** With `transfer`, the chunks' memory is taken. Throws `BLOB_UPLOAD_UNKNOWN`, `RANGE_INVALID`, `SIZE_INVALID`, `NO_SPACE`. */
  appendUpload(
    repository: Repository,
    id: string,
    body: AsyncIterable<Uint8Array>,
    options?: { offset?: number; transfer?: boolean; signal?: AbortSignal },
  ): Promise<UploadState>
  /** Throws `DIGEST_INVALID` when the bytes hash to something else. */
  finishUpload(repository: Repository, id: string, digest: Digest): Promise<{ size: number }>
  /** `appendUpload` and `finishUpload` in one go. Throws what these throw. */
  putUpload(
    repository: Repository,
    id: string,
    body: AsyncIterable<Uint8Array>,
    digest: Digest,
    options?: { offset?: number; transfer?: boolean; signal?: AbortSignal },
  ): Promise<{ size: number }>
  cancelUpload(repository: Repository, id: string): Promise<void>
  /** Stored and published when it resolves. `tags` are set beside the reference's own; `by` is the account that pushes. */
  putManifest(
    repository: Repository,
    reference: Reference,
    body: { bytes: Uint8Array; contentType: string | undefined; tags?: Tag[]; by?: string | undefined },
  ): Promise<PushedManifest>
  /** Runs `publish`, which has to tag that manifest, if the quotas let it. Throws `QUOTA_EXCEEDED`, and what `publish` throws. */
  withinQuotas(
    repository: Repository,
    tags: readonly Tag[],
    manifest: { digest: Digest; mediaType: string; bytes: Uint8Array },
    publish: () => Promise<void>,
  ): Promise<void>
  /**
   * Waits for copies of it at other members, as many as `copies` says or the node was told, for a bounded time. Resolves to how many
   * members hold it and how many were to; `undefined` where nothing is waited for, as for a manifest that nothing names yet.
   */
  secured(
    repository: Repository,
    pushed: Pick<PushedManifest, 'digest' | 'tags' | 'subject'>,
    options: { copies: number | undefined; signal: AbortSignal },
  ): Promise<{ held: number; wanted: number } | undefined>
}

export function createPush(collaborators: Collaborators): Push {
  const { store, names, elsewhere, mirror, own, quotas, sparse, secured, ahead } = collaborators
  const { uploads, links, blobs, manifests } = store

  /** Resolves to its size; `undefined` when it is nowhere, or not for that repository. */
  async function mount(
    repository: Repository,
    digest: Digest,
    from: Repository | undefined,
    mayMountFrom: (source: Repository) => boolean,
  ): Promise<{ size: number } | undefined> {
    const source = from ?? (await links.anyRepository(digest))
    // What may not be read is nowhere for who asks, and an upload like any other.
    if (source === undefined || !mayMountFrom(source)) return undefined
    if (mirror.refusal(upstreamOf(source) ?? '') !== undefined) return undefined
    // Held, so that it is not taken between the look and the link.
    return await store.hold([digest], async () => {
      const isHere = (await links.has(source, digest)) && (await blobs.stat(digest)) !== undefined
      if (!isHere && !(await fetchFrom(source, digest))) return undefined
      const here = await blobs.stat(digest)
      if (here !== undefined) await links.add(repository, [digest], { durable: true })
      return here
    })
  }

  /** A mount from where nothing can be had now is an upload like any other. */
  async function fetchFrom(source: Repository, digest: Digest): Promise<boolean> {
    try {
      return await elsewhere.fetchBlob(source, digest)
    } catch (error) {
      if (isUnavailable(error)) return false
      throw error
    }
  }

  async function startUpload(
    repository: Repository,
    { mount: wanted, algorithm, client, mayMountFrom = () => true }: StartOptions = {},
  ): Promise<StartedUpload> {
    own.notePush(repository)
    const mounted =
      wanted === undefined ? undefined : await mount(repository, wanted.digest, wanted.from, mayMountFrom)
    if (wanted !== undefined && mounted !== undefined)
      return { mounted: { ...mounted, digest: wanted.digest } }
    // Where nothing more fits, the client is told before it sends.
    await quotas.checkBlob(repository, { bytes: 1 })
    ahead.begin(repository)
    const hint = algorithm ?? (wanted === undefined ? undefined : algorithmOf(wanted.digest))
    return { upload: await refusing(uploads.create(repository, { algorithm: hint, client })) }
  }

  async function getUpload(repository: Repository, id: string): Promise<UploadState> {
    const upload = await uploads.find(repository, id)
    if (upload !== undefined) return upload
    throw new OciError(
      'BLOB_UPLOAD_UNKNOWN',
      'there is no such upload; it was finished, cancelled or has expired: start another',
    )
  }

  const withinQuotas: Push['withinQuotas'] = async (repository, tags, tagged, publishTags) => {
    await quotas.admit(repository, tags, tagged)
    try {
      await publishTags()
    } catch (error) {
      quotas.recount(repository, tags)
      throw error
    }
  }

  async function putManifest(
    repository: Repository,
    reference: Reference,
    {
      bytes,
      contentType,
      tags = [],
      by: account,
    }: { bytes: Uint8Array; contentType: string | undefined; tags?: Tag[]; by?: string | undefined },
  ): Promise<PushedManifest> {
    const manifest = parseManifest(bytes, contentType)
    const digest = digestBytes(bytes, 'digest' in reference ? algorithmOf(reference.digest) : 'sha256')
    if ('digest' in reference && reference.digest !== digest) {
      throw new OciError('DIGEST_INVALID', `the body hashes to ${digest}, the path says ${reference.digest}`)
    }
    await checkNesting(manifests, manifest)
    const allTags = [...new Set('tag' in reference ? [reference.tag, ...tags] : tags)]
    const parts = [...manifest.blobs, ...manifest.manifests].map((descriptor) => descriptor.digest)
    const { mediaType, subject } = manifest
    await withinQuotas(repository, allTags, { digest, mediaType, bytes }, async () => {
      // Until its records say that it lives, nothing else keeps it from the collector.
      await store.hold([digest, ...parts], async () => {
        const absent = await storeManifest(repository, digest, bytes, manifest)
        await publish(repository, digest, { size: bytes.length, tags: allTags, account, absent }, manifest)
      })
    })
    elsewhere.announce([digest])
    return { digest, mediaType, tags: allTags, ...(subject === undefined ? {} : { subject }) }
  }

  /** Resolves to what it refers to that is missing, and may be. */
  async function storeManifest(
    repository: Repository,
    digest: Digest,
    bytes: Uint8Array,
    manifest: ParsedManifest,
  ): Promise<Digest[]> {
    const descriptors = [...manifest.blobs, ...manifest.manifests]
    const references = [...new Set(descriptors.map((descriptor) => descriptor.digest))]
    const optional = new Set(descriptors.filter(mayBeMissing).map((descriptor) => descriptor.digest))
    const required = references.filter((reference) => !optional.has(reference))
    const write = { repository, digest, bytes, references, required }
    try {
      await manifests.put(write)
      return []
    } catch (error) {
      if (!(error instanceof BlobMissingError)) throw refusalOf(error)
      const absent = new Set<Digest>()
      for (const missing of error.digests) {
        if (await bring(repository, missing, manifest)) continue
        if (!mayLack(manifest) || absent.size === maxAbsent) throw refusalOf(error)
        absent.add(missing)
      }
      await refusing(manifests.put({ ...write, required: required.filter((each) => !absent.has(each)) }))
      return [...absent]
    }
  }

  function mayLack({ kind }: ParsedManifest): boolean {
    return sparse === 'all' || (sparse === 'indexes' && kind === 'index')
  }

  /** What the client was told the cluster holds is brought here before a manifest relies on it. False when it is not to be had. */
  async function bring(repository: Repository, digest: Digest, manifest: ParsedManifest): Promise<boolean> {
    const child = manifest.manifests.find((descriptor) => descriptor.digest === digest)
    if (child === undefined || isBlobType(child.mediaType)) {
      if (!(await elsewhere.fetchBlob(repository, digest))) return false
      await links.add(repository, [digest])
      return true
    }
    const entry = await names.findManifest(repository, digest)
    const bytes = entry === undefined ? undefined : await elsewhere.fetchManifest(repository, digest)
    if (entry === undefined || bytes === undefined) return false
    // By the type that it was pushed as, for which somebody saw to it that its blobs are there; the index may say another.
    const { blobs } = await keepManifest(collaborators, repository, { ...entry, bytes })
    elsewhere.prefetch(
      repository,
      blobs.map((blob) => blob.digest),
    )
    return true
  }

  /** What no quota lets into the repository is dropped at once. */
  async function checkRoomFor(repository: Repository, upload: UploadState, digest: Digest): Promise<void> {
    try {
      await quotas.checkBlob(repository, { digest, bytes: upload.offset })
    } catch (error) {
      await uploads.cancel(repository, upload.id)
      throw error
    }
  }

  /** The manifest is stated again even where it is known: elsewhere it may have been deleted before, and this is the later say. */
  async function publish(
    repository: Repository,
    digest: Digest,
    {
      size,
      tags,
      account,
      absent,
    }: { size: number; tags: Tag[]; account: string | undefined; absent: readonly Digest[] },
    manifest: ParsedManifest,
  ) {
    const { mediaType } = manifest
    const by = account === undefined ? {} : { by: account }
    // A manifest without either belongs to what is still to be pushed.
    const isLast = tags.length > 0 || manifest.subject !== undefined
    const drawn = isLast ? ahead.take(repository) : undefined
    // What has a tag already stays where it is.
    const where = (await findHome(names, repository, digest)) ?? (drawn === undefined ? {} : { home: drawn })
    const value = { digest, mediaType, size, ...where }
    const changes: Change[] = [
      { kind: 'manifest', repository, digest, value: manifestFacts(manifest, size, absent), ...by },
      ...tags.map((tag): Change => ({ kind: 'tag', repository, tag, value, ...by })),
    ]
    await refusing(names.publish(changes))
  }

  return {
    startUpload,
    getUpload,
    withinQuotas,
    appendUpload: (repository, id, body, options) => refusing(uploads.append(repository, id, body, options)),
    async finishUpload(repository, id, digest) {
      own.notePush(repository)
      const upload = await uploads.find(repository, id)
      if (upload !== undefined) await checkRoomFor(repository, upload, digest)
      const finished = await refusing(uploads.finish(repository, id, digest))
      elsewhere.announce([digest])
      ahead.send(repository, digest, finished.size)
      return finished
    },
    async putUpload(repository, id, body, digest, options) {
      own.notePush(repository)
      const admit = (bytes: number) => quotas.checkBlob(repository, { digest, bytes })
      const finished = await refusing(uploads.put(repository, id, body, digest, { ...options, admit }))
      elsewhere.announce([digest])
      ahead.send(repository, digest, finished.size)
      return finished
    },
    async cancelUpload(repository, id) {
      if (!(await uploads.cancel(repository, id))) await getUpload(repository, id)
    },
    putManifest,
    async secured(repository, { digest, tags, subject }, options) {
      // What has neither belongs to what is still to be pushed, and goes with that.
      if (tags.length === 0 && subject === undefined) return undefined
      return await secured({ repository, digest }, options)
    },
  }
}

async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw refusalOf(error)
  }
}
