/** Pull: a reference to a manifest's bytes, a digest to a blob's. */
import { fromUpstream, noTrace, SingleFlight, type Trace, timed } from '../base/base.ts'
import { type Digest, OciError, type RangesOf, type Reference, type Repository } from '../oci/oci.ts'
import type { ManifestEntry } from '../records/records.ts'
import type { OpenBlob } from '../store/store.ts'
import { keepManifest } from './fetched-manifest.ts'
import type { MirroredTag, Staleness } from './mirror.ts'
import { refusalOf } from './refusal.ts'
import type { Collaborators } from './registry.ts'
import { createResolution, retryAfterMs } from './resolution.ts'
import { Siblings } from './siblings.ts'
import { createStaleCount } from './stale-count.ts'
import { toldSizes } from './told-sizes.ts'

export interface ManifestContent {
  digest: Digest
  /** Exactly as it was pushed. */
  mediaType: string
  bytes: Uint8Array
  /** The peer that gave the bytes just now, or `upstream`; absent when they were here. */
  giver?: string
  /** Until when this answers a mirrored tag without asking again. */
  freshUntilMs?: number
  stale?: Staleness
}

/** What a HEAD tells of a manifest. */
export type ManifestFacts = Pick<ManifestContent, 'digest' | 'mediaType' | 'stale'> & {
  size: number
}

export interface BlobContent extends OpenBlob {
  digest: Digest
}

/** `trace` is told what takes how long. */
export interface PullOptions {
  signal?: AbortSignal
  trace?: Trace
  /** Whether a manifest that comes from a member brings its layers along, once one of them is read whole; default true. */
  prefetch?: boolean
}

export interface Pull {
  /** Throws `MANIFEST_UNKNOWN`, and `UNAVAILABLE` where members that may have it do not answer. */
  getManifest(repository: Repository, reference: Reference, options?: PullOptions): Promise<ManifestContent>
  /** What is known of a manifest, without bringing it here: whoever watches a tag does not want its image. Throws `MANIFEST_UNKNOWN`. */
  statManifest(repository: Repository, reference: Reference, options?: PullOptions): Promise<ManifestFacts>
  /** The size of a blob, without bringing it here. Throws `BLOB_UNKNOWN`. */
  statBlob(
    repository: Repository,
    digest: Digest,
    options?: { signal?: AbortSignal },
  ): Promise<{ size: number }>
  /** The caller disposes of it, and reads nothing but `ranges`, where it gives any. Throws `BLOB_UNKNOWN`, and `UNAVAILABLE` for one that is here and that the disk does not give. */
  openBlob(
    repository: Repository,
    digest: Digest,
    options?: PullOptions & { ranges?: RangesOf | undefined },
  ): Promise<BlobContent>
}

export function createPull(collaborators: Collaborators): Pull {
  const { store, names, elsewhere, mirror, own, cache, clock } = collaborators
  const counted = createStaleCount(collaborators)
  const { resolve } = createResolution(collaborators)
  const siblings = new Siblings()
  const manifestFetches = new SingleFlight<{ bytes: Uint8Array; giver: string } | undefined>()

  /** What has a tag somebody holds; the rest may be with nobody any more, and whoever has it can push it again. */
  async function unreached(repository: Repository, reference: Reference, digest: Digest): Promise<OciError> {
    const message = `the manifest ${digest} of ${repository} is known, but no node that holds it can be reached`
    const isHeld = 'tag' in reference || (await names.tagsOf(repository, digest, { limit: 1 })).length > 0
    return isHeld
      ? new OciError('UNAVAILABLE', message, { retryAfterMs })
      : new OciError('MANIFEST_UNKNOWN', message)
  }

  /** Brings a manifest here; its blobs become readable through the repository, and come when one of them is asked for. */
  function fetchManifest(
    repository: Repository,
    entry: ManifestEntry,
    { prefetch = true }: PullOptions,
  ): Promise<{ bytes: Uint8Array; giver: string } | undefined> {
    // Shared by all who wait, so no single one of them may cut it off.
    return manifestFetches.run(`${repository} ${entry.digest}`, async () => {
      let giver = ''
      const onGiver = (peer: string): void => {
        giver = peer
      }
      const bytes =
        (await elsewhere.fetchManifest(repository, entry.digest, { onGiver })) ??
        (await fetchAnew(repository, entry.digest, onGiver))
      if (bytes === undefined) return undefined
      const manifest = await keepManifest(collaborators, repository, { ...entry, bytes })
      if (prefetch) siblings.remember(repository, manifest)
      return { bytes, giver }
    })
  }

  /** Those who held a mirrored manifest may be gone; its upstream has it still. */
  async function fetchAnew(
    repository: Repository,
    digest: Digest,
    onGiver: (peer: string) => void,
  ): Promise<Uint8Array | undefined> {
    if (!(await own.isMirrored(repository)) || !(await mirror.bringManifest(repository, digest)))
      return undefined
    const here = await store.manifests.get(digest)
    if (here === undefined) return elsewhere.fetchManifest(repository, digest, { onGiver })
    onGiver(fromUpstream)
    return here
  }

  /**
   * Whoever asks for a digest keeps it here for a while, as it may have no tag that would. What was collected is not answered
   * from memory.
   */
  async function findCached(
    repository: Repository,
    reference: Reference,
  ): Promise<ManifestContent | undefined> {
    const cached = cache.find(repository, nameOf(reference))
    if (cached === undefined || 'tag' in reference) return cached
    return (await store.links.has(repository, reference.digest)) ? cached : undefined
  }

  async function statManifest(
    repository: Repository,
    reference: Reference,
    options: PullOptions = {},
  ): Promise<ManifestFacts> {
    const cached = await findCached(repository, reference)
    if (cached !== undefined) return factsOf(counted(cached))
    const { entry, tag } = await resolve(repository, reference, { ...options, mayBeOfPush: true })
    // What is here is read at once: the GET that follows most HEADs finds it in the cache. What has no tag may be with nobody
    // any more, and a client that is told that it is there does not push it.
    const isHere = (await store.manifests.get(entry.digest)) !== undefined
    const isDoubtful =
      'digest' in reference && (await names.tagsOf(repository, entry.digest, { limit: 1 })).length === 0
    if (isHere || isDoubtful) {
      return factsOf(await getManifest(repository, reference, { ...options, prefetch: false }))
    }
    const { digest, mediaType, size } = entry
    return counted({ digest, mediaType, size, ...answerOf(tag) })
  }

  async function getManifest(
    repository: Repository,
    reference: Reference,
    options: PullOptions = {},
  ): Promise<ManifestContent> {
    const name = nameOf(reference)
    const cached = await findCached(repository, reference)
    if (cached !== undefined) return counted(cached)
    const { generation } = cache
    const { trace = noTrace } = options
    const askedMs = clock.now()
    const { entry, tag } = await timed(trace, 'resolve', () => resolve(repository, reference, options))
    if ('digest' in reference) await store.links.has(repository, entry.digest)
    const here = await store.manifests.get(entry.digest)
    const fetched =
      here === undefined
        ? await timed(trace, 'fetch', () => fetchManifest(repository, entry, options))
        : undefined
    const bytes = here ?? fetched?.bytes
    if (bytes === undefined) throw await unreached(repository, reference, entry.digest)
    const content = { digest: entry.digest, mediaType: entry.mediaType, bytes, ...answerOf(tag) }
    cache.add(repository, name, content, generation)
    // Resolving a mirrored name may have brought it here.
    const isBrought = (mirror.broughtMs(entry.digest) ?? Number.NEGATIVE_INFINITY) >= askedMs
    const giver = fetched?.giver ?? (isBrought ? fromUpstream : undefined)
    return counted(giver === undefined ? content : { ...content, giver })
  }

  async function statBlob(
    repository: Repository,
    digest: Digest,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<{ size: number }> {
    const here = (await store.links.has(repository, digest)) ? await store.blobs.stat(digest) : undefined
    if (here !== undefined) return here
    const within = (await own.mayBeOutside(repository)) ? 'anywhere' : 'cluster'
    const sizes = await toldSizes(collaborators, repository, digest)
    const found = await elsewhere.findBlob(repository, digest, { ...withSignal(signal), within, sizes })
    return found ?? blobUnknown(repository, digest)
  }

  async function openBlob(
    repository: Repository,
    digest: Digest,
    options: PullOptions & { ranges?: RangesOf | undefined } = {},
  ): Promise<BlobContent> {
    const { trace = noTrace, ranges } = options
    const here = await timed(trace, 'disk', async () =>
      (await store.links.has(repository, digest)) ? await store.blobs.open(digest) : undefined,
    )
    if (ranges === undefined) elsewhere.prefetch(repository, siblings.take(repository, digest))
    if (here !== undefined) return contentOf(here, digest)
    const coming = await elsewhere.openBlob(repository, digest, {
      ...withSignal(options.signal),
      ...(ranges === undefined ? {} : { ranges }),
    })
    if (coming === undefined) {
      // A push is told that it is unknown, and mends that; who reads it is not, for it may be had again.
      const isUnread = (await store.links.has(repository, digest)) && (await store.isUnread(digest))
      return isUnread ? blobUnread(repository, digest) : blobUnknown(repository, digest)
    }
    try {
      // A member let this repository read it, so this node does too from now on.
      await store.links.add(repository, [digest])
    } catch (error) {
      await coming[Symbol.asyncDispose]()
      throw error
    }
    return contentOf({ ...coming, chunks: (...wanted) => told(coming.chunks(...wanted)) }, digest)
  }

  return { getManifest, statManifest, statBlob, openBlob }
}

function nameOf(reference: Reference): string {
  return 'tag' in reference ? reference.tag : reference.digest
}

function factsOf({ digest, mediaType, bytes, stale }: ManifestContent): ManifestFacts {
  return { digest, mediaType, size: bytes.length, ...(stale === undefined ? {} : { stale }) }
}

/** What of a tag's resolution goes with its manifest. */
function answerOf({ freshUntilMs, stale }: Pick<MirroredTag, 'freshUntilMs' | 'stale'>) {
  return {
    ...(freshUntilMs === undefined ? {} : { freshUntilMs }),
    ...(stale === undefined ? {} : { stale }),
  }
}

function contentOf(blob: OpenBlob, digest: Digest): BlobContent {
  const provenance = blob.provenance?.bind(blob)
  return {
    digest,
    size: blob.size,
    ...(blob.bytes === undefined ? {} : { bytes: blob.bytes }),
    chunks: (start, end, options) => blob.chunks(start, end, options),
    ...(provenance === undefined ? {} : { provenance }),
    [Symbol.asyncDispose]: () => blob[Symbol.asyncDispose](),
  }
}

/** What breaks it off is in the clients' words: they are told it as long as nothing else was answered. */
async function* told(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks
  } catch (error) {
    throw refusalOf(error)
  }
}

function blobUnknown(repository: Repository, digest: Digest): never {
  throw new OciError('BLOB_UNKNOWN', `${repository} has no blob ${digest}`, {
    detail: { repository, digest },
  })
}

function blobUnread(repository: Repository, digest: Digest): never {
  throw new OciError(
    'UNAVAILABLE',
    `${repository} has the blob ${digest}, but the disk of this node does not give it, and no other node that has it can be reached: try again, push it again, or look at the disk`,
    { retryAfterMs },
  )
}

function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}
