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
  | { name: 'token' }
  | { name: 'v1-ping' }
  | { name: 'v1-search' }

export type RouteName = Route['name']

const nameAt = '/v2/'.length

/**
 * Reads a path without its query. A repository name may itself hold words like `blobs` or `tags`, so the end of the path
 * decides. Returns `undefined` for a path that is no endpoint; throws `NAME_INVALID`, `TAG_INVALID` or `DIGEST_INVALID` for an
 * endpoint with a bad part.
 */
export function parseRoute(path: string): Route | undefined {
  if (path === '/v2/' || path === '/v2') return { name: 'base' }
  if (path === '/v2/_catalog') return { name: 'catalog' }
  if (path.startsWith('/v2/')) return parseRepositoryRoute(path)
  if (path === '/token') return { name: 'token' }
  if (path === '/v1/_ping') return { name: 'v1-ping' }
  return path === '/v1/search' ? { name: 'v1-search' } : undefined
}

/** Every request comes through here, so the path is cut from its end and never split. */
function parseRepositoryRoute(path: string): Route | undefined {
  const lastAt = path.lastIndexOf('/')
  const secondAt = path.lastIndexOf('/', lastAt - 1)
  const last = path.slice(lastAt + 1)
  const before = (at: number): Repository =>
    parseRepository(decodeName(path.slice(nameAt, Math.max(nameAt, at))))

  switch (path.slice(secondAt + 1, lastAt)) {
    case 'tags':
      return last === 'list' ? { name: 'tags', repository: before(secondAt) } : undefined
    case 'manifests':
      return { name: 'manifest', repository: before(secondAt), reference: parseReference(decode(last)) }
    case 'referrers':
      return { name: 'referrers', repository: before(secondAt), digest: parseDigest(decode(last)) }
    case 'uploads': {
      const thirdAt = path.lastIndexOf('/', secondAt - 1)
      if (path.slice(thirdAt + 1, secondAt) !== 'blobs') return undefined
      const repository = before(thirdAt)
      return last === '' ? { name: 'uploads', repository } : { name: 'upload', repository, id: last }
    }
    case 'blobs':
      if (last === 'uploads') return { name: 'uploads', repository: before(secondAt) }
      return { name: 'blob', repository: before(secondAt), digest: parseDigest(decode(last)) }
    default:
      return undefined
  }
}

function decodeName(name: string): string {
  return name.includes('%') ? name.split('/').map(decode).join('/') : name
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
