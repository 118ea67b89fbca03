/** The manifests that refer to another: by the referrers API, or by the tag that stands for it where there is none. */
import {
  type Digest,
  maxManifestBytes,
  mediaTypes,
  OciError,
  parseManifest,
  type Reference,
  type Repository,
  siblingTags,
} from '../oci/oci.ts'
import type { Availability } from './availability.ts'
import { readWhole } from './bodies.ts'
import { mediaTypeOf } from './manifests.ts'
import type { Answer } from './transport.ts'
import type { UpstreamManifest } from './upstream.ts'

/** More than any subject has pages; a registry that goes on and on is not followed. */
const maxPages = 16

type Options = { signal?: AbortSignal }

export interface ReferrerSource {
  availability: Availability
  /** Asks for a path and query; `undefined` where there is no such thing. */
  get(path: string, accept: string, options: Options): Promise<Answer | undefined>
  getManifest(reference: Reference, options: Options): Promise<UpstreamManifest | undefined>
}

/** OCI distribution-spec 1.1, "Listing Referrers" and "Unavailable Referrers API". Throws UpstreamUnavailableError. */
export async function listReferrers(
  source: ReferrerSource,
  repository: Repository,
  subject: Digest,
  options: Options,
): Promise<Digest[]> {
  const found = new Set<Digest>()
  let path: string | undefined = `/v2/${repository}/referrers/${subject}`
  for (let page = 0; page < maxPages && path !== undefined; page++) {
    const answer = await source.get(path, mediaTypes.ociIndex, options)
    const listed = answer === undefined ? undefined : await readIndex(answer, source.availability, options)
    if (answer === undefined || listed === undefined)
      return page === 0 ? await byTag(source, subject, options) : [...found]
    for (const digest of listed) found.add(digest)
    path = nextPath(answer)
  }
  return [...found]
}

async function byTag(source: ReferrerSource, subject: Digest, options: Options): Promise<Digest[]> {
  const [tag] = siblingTags(subject)
  const manifest = tag && (await source.getManifest({ tag }, options))
  return manifest === undefined ? [] : (digestsIn(manifest.bytes, manifest.mediaType) ?? [])
}

async function readIndex(
  answer: Answer,
  availability: Availability,
  options: Options,
): Promise<Digest[] | undefined> {
  const bytes = await readWhole(answer, maxManifestBytes, availability, options)
  return digestsIn(bytes, mediaTypeOf(answer.headers))
}

/** `undefined` for what is no index, as registries without the API may answer. */
function digestsIn(bytes: Uint8Array, mediaType: string | undefined): Digest[] | undefined {
  try {
    const parsed = parseManifest(bytes, mediaType)
    return parsed.kind === 'index' ? parsed.manifests.map(({ digest }) => digest) : undefined
  } catch (error) {
    if (error instanceof OciError) return undefined
    throw error
  }
}

/** Of a `Link: </v2/…>; rel="next"` to the registry itself. */
export function nextPath({ url, headers }: Answer): string | undefined {
  const [, target = ''] = /<([^<>]{1,2048})>\s*;\s*rel="?next"?/.exec(headers.link ?? '') ?? []
  const next = target === '' ? null : URL.parse(target, url.href)
  return next?.origin === url.origin ? next.pathname + next.search : undefined
}
