/** Which endpoint a path names: pure, and the same parse for every endpoint (OCI distribution-spec, "Endpoints"). */
import {
  type Digest,
  OciError,
  parseDigest,
  parseReference,
  parseRepository,
  type Reference,
  type Repository,
} from '../oci/oci.ts'

export type Route =
  | { name: 'base' }
  | { name: 'catalog' }
  | { name: 'tags'; repository: Repository }
  | { name: 'manifest'; repository: Repository; reference: Reference }
  | { name: 'blob'; repository: Repository; digest: Digest }
  | { name: 'uploads'; repository: Repository }
  | { name: 'upload'; repository: Repository; id: string }
  | { name: 'referrers'; repository: Repository; digest: Digest }
  | { name: 'v1-ping' }
  | { name: 'v1-search' }

export type RouteName = Route['name']

/**
 * Reads a path without its query. A repository name may itself hold words like `blobs` or `tags`, so the end of the path
 * decides. Returns `undefined` for a path that is no endpoint; throws `NAME_INVALID`, `TAG_INVALID` or `DIGEST_INVALID` for an
 * endpoint with a bad part.
 */
export function parseRoute(path: string): Route | undefined {
  const [empty, version, ...segments] = path.split('/')
  if (empty !== '') return undefined
  if (version === 'v1') return parseV1(segments)
  if (version !== 'v2') return undefined
  if (segments.length === 0 || (segments.length === 1 && segments[0] === '')) return { name: 'base' }
  if (segments.length === 1 && segments[0] === '_catalog') return { name: 'catalog' }
  return parseRepositoryRoute(segments)
}

function parseV1(segments: string[]): Route | undefined {
  if (segments.length !== 1) return undefined
  if (segments[0] === '_ping') return { name: 'v1-ping' }
  return segments[0] === 'search' ? { name: 'v1-search' } : undefined
}

function parseRepositoryRoute(segments: string[]): Route | undefined {
  const [last = '', second, third] = segments.toReversed()
  const before = (count: number): Repository =>
    parseRepository(segments.slice(0, -count).map(decode).join('/'))

  if (second === 'tags' && last === 'list') return { name: 'tags', repository: before(2) }
  if (second === 'manifests')
    return { name: 'manifest', repository: before(2), reference: parseReference(decode(last)) }
  if (second === 'referrers')
    return { name: 'referrers', repository: before(2), digest: parseDigest(decode(last)) }
  if (third === 'blobs' && second === 'uploads') {
    return last === ''
      ? { name: 'uploads', repository: before(3) }
      : { name: 'upload', repository: before(3), id: last }
  }
  if (second === 'blobs' && last === 'uploads') return { name: 'uploads', repository: before(2) }
  if (second === 'blobs') return { name: 'blob', repository: before(2), digest: parseDigest(decode(last)) }
  return undefined
}

/** Decoded after the split, so that an encoded slash never makes a segment; what it decodes to is checked by its parser. */
function decode(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    const decoded = decodeURIComponent(segment)
    if (!decoded.includes('/')) return decoded
  } catch (error) {
    if (!(error instanceof URIError)) throw error
  }
  throw new OciError('NAME_INVALID', 'the path holds an encoded slash, or an escape that is not UTF-8')
}
