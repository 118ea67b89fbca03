/** Pull: a reference to a manifest's bytes, a digest to a blob's. */
import { noTrace, SingleFlight, type Trace, timed } from '../base/base.ts'
import { type Digest, OciError, type Reference, type Repository } from '../oci/oci.ts'
import type { ManifestEntry } from '../records/records.ts'
import type { OpenBlob } from '../store/store.ts'
import { keepFetchedManifest } from './fetched-manifest.ts'
import type { Collaborators } from './registry.ts'

export interface ManifestContent {
  digest: Digest
  /** Exactly as it was pushed. */
  mediaType: string
  bytes: Uint8Array
  /** The peer that gave the bytes just now, or `upstream`; absent when they were here. */
  giver?: string
}

/** What a HEAD tells of a manifest. */
export type ManifestFacts = Pick<ManifestContent, 'digest' | 'mediaType'> & { size: number }

export interface BlobContent extends OpenBlob {
  digest: Digest
}

/** `trace` is told what takes how long. */
export interface PullOptions {
  signal?: AbortSignal
  trace?: Trace
}

export interface Pull {
  /** Throws `MANIFEST_UNKNOWN`. */
  getManifest(repository: Repository, reference: Reference, options?: PullOptions): Promise<ManifestContent>
  /** What is known of a manifest, without bringing it here: whoever watches a tag does not want its image. Throws `MANIFEST_UNKNOWN`. */
  statManifest(repository: Repository, reference: Reference, options?: PullOptions): Promise<ManifestFacts>
  /** The size of a blob, without bringing it here. Throws `BLOB_UNKNOWN`. */
  statBlob(
    repository: Repository,
    digest: Digest,
    options?: { signal?: AbortSignal },
  ): Promise<{ size: number }>
  /** The caller disposes of it. Throws `BLOB_UNKNOWN`. */
  openBlob(repository: Repository, digest: Digest, options?: PullOptions): Promise<BlobContent>
}

export function createPull(collaborators: Collaborators): Pull {
  const { store, names, elsewhere, cache } = collaborators
  const manifestFetches = new SingleFlight<{ bytes: Uint8Array; giver: string } | undefined>()

  async function resolve(
    repository: Repository,
    reference: Reference,
    { signal, trace = noTrace }: PullOptions,
  ): Promise<Digest | undefined> {
    if ('digest' in reference) return reference.digest
    const here = await names.findTag(repository, reference.tag)
    if (here !== undefined) return here.digest
    await timed(trace, 'ask', () => elsewhere.askForTag(repository, reference.tag, withSignal(signal)))
    return (await names.findTag(repository, reference.tag))?.digest
  }

  async function findEntry(
    repository: Repository,
    digest: Digest,
    { signal, trace = noTrace }: PullOptions,
  ): Promise<ManifestEntry | undefined> {
    const here = await names.findManifest(repository, digest)
    if (here !== undefined) return here
    await timed(trace, 'ask', () => elsewhere.askForManifest(repository, digest, withSignal(signal)))
    return names.findManifest(repository, digest)
  }

  /** Brings a manifest here from a member; its blobs become readable through the repository, and come when asked for. */
  function fetchManifest(
    repository: Repository,
    entry: ManifestEntry,
  ): Promise<{ bytes: Uint8Array; giver: string } | undefined> {
    // Shared by all who wait, so no single one of them may cut it off.
    return manifestFetches.run(`${repository} ${entry.digest}`, async () => {
      let giver = ''
      const onGiver = (peer: string): void => {
        giver = peer
      }
      const bytes = await elsewhere.fetchManifest(repository, entry.digest, { onGiver })
      if (bytes === undefined) return undefined
      await keepFetchedManifest(collaborators, repository, { ...entry, bytes })
      return { bytes, giver }
    })
  }

  async function getEntry(
    repository: Repository,
    reference: Reference,
    options: PullOptions,
  ): Promise<ManifestEntry> {
    const digest = await resolve(repository, reference, options)
    const entry = digest === undefined ? undefined : await findEntry(repository, digest, options)
    if (entry !== undefined) return entry
    const name = nameOf(reference)
    throw new OciError('MANIFEST_UNKNOWN', `${repository} has no manifest ${name}`, {
      detail: { repository, reference: name },
    })
  }

  async function statManifest(
    repository: Repository,
    reference: Reference,
    options: PullOptions = {},
  ): Promise<ManifestFacts> {
    const cached = cache.find(repository, nameOf(reference))
    if (cached !== undefined) return factsOf(cached)
    const entry = await getEntry(repository, reference, options)
    // What is here is read at once: the GET that follows most HEADs finds it in the cache.
    const isHere = (await store.manifests.get(entry.digest)) !== undefined
    return isHere ? factsOf(await getManifest(repository, reference)) : entry
  }

  async function getManifest(
    repository: Repository,
    reference: Reference,
    options: PullOptions = {},
  ): Promise<ManifestContent> {
    const name = nameOf(reference)
    const cached = cache.find(repository, name)
    if (cached !== undefined) return cached
    const { generation } = cache
    const { trace = noTrace } = options
    const entry = await timed(trace, 'resolve', () => getEntry(repository, reference, options))
    const here = await store.manifests.get(entry.digest)
    const fetched =
      here === undefined ? await timed(trace, 'fetch', () => fetchManifest(repository, entry)) : undefined
    const bytes = here ?? fetched?.bytes
    if (bytes === undefined) {
      throw new OciError(
        'MANIFEST_UNKNOWN',
        `the manifest ${entry.digest} of ${repository} is known, but no node that holds it can be reached`,
      )
    }
    const content = { digest: entry.digest, mediaType: entry.mediaType, bytes }
    cache.add(repository, name, content, generation)
    return fetched === undefined ? content : { ...content, giver: fetched.giver }
  }

  async function statBlob(
    repository: Repository,
    digest: Digest,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<{ size: number }> {
    const here = (await store.links.has(repository, digest)) ? await store.blobs.stat(digest) : undefined
    const found = here ?? (await elsewhere.findBlob(repository, digest, withSignal(signal)))
    return found ?? blobUnknown(repository, digest)
  }

  async function openBlob(
    repository: Repository,
    digest: Digest,
    { signal, trace = noTrace }: PullOptions = {},
  ): Promise<BlobContent> {
    const here = await timed(trace, 'disk', async () =>
      (await store.links.has(repository, digest)) ? await store.blobs.open(digest) : undefined,
    )
    if (here !== undefined) return contentOf(here, digest)
    const coming = await elsewhere.openBlob(repository, digest, withSignal(signal))
    if (coming === undefined) return blobUnknown(repository, digest)
    // A member let this repository read it, so this node does too from now on.
    await store.links.add(repository, [digest])
    return contentOf(coming, digest)
  }

  return { getManifest, statManifest, statBlob, openBlob }
}

function nameOf(reference: Reference): string {
  return 'tag' in reference ? reference.tag : reference.digest
}

function factsOf({ digest, mediaType, bytes }: ManifestContent): ManifestFacts {
  return { digest, mediaType, size: bytes.length }
}

function contentOf(blob: OpenBlob, digest: Digest): BlobContent {
  const provenance = blob.provenance?.bind(blob)
  return {
    digest,
    size: blob.size,
    chunks: (start, end, options) => blob.chunks(start, end, options),
    ...(provenance === undefined ? {} : { provenance }),
    [Symbol.asyncDispose]: () => blob[Symbol.asyncDispose](),
  }
}

function blobUnknown(repository: Repository, digest: Digest): never {
  throw new OciError('BLOB_UNKNOWN', `${repository} has no blob ${digest}`, {
    detail: { repository, digest },
  })
}

function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}
