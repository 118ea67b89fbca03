/** Tag lists, the catalog, referrers, and Docker's V1 search. */
import { type Digest, excerpt, mediaTypes, OciError, type Repository } from '../oci/oci.ts'
import type { Registry } from '../registry/registry.ts'
import type { Exchange } from './exchange.ts'
import { warningHeader } from './warning.ts'

const defaultSearchResults = 25
const maxSearchResults = 100

export async function listTags(
  { listing }: Registry,
  exchange: Exchange,
  { repository }: { repository: Repository },
) {
  const wanted = pageOf(exchange)
  const { items, next } = await listing.listTags(repository, wanted)
  // Where the client asked, as the next page is asked by the same name.
  const link = nextLink(exchange.path, { ns: exchange.param('ns'), n: wanted.limit, last: next })
  exchange.sendJson(200, { name: repository, tags: items }, link)
}

export async function listRepositories({ listing }: Registry, exchange: Exchange): Promise<void> {
  const wanted = { ...pageOf(exchange), ...visibleTo(exchange) }
  const { items, next } = await listing.listRepositories(wanted)
  exchange.sendJson(200, { repositories: items }, nextLink('/v2/_catalog', { n: wanted.limit, last: next }))
}

export async function listReferrers(
  { listing }: Registry,
  exchange: Exchange,
  { repository, digest }: { repository: Repository; digest: Digest },
): Promise<void> {
  const artifactType = exchange.query.get('artifactType') || undefined
  const last = exchange.query.get('last') ?? undefined
  const { items, next, stale } = await listing.listReferrers(repository, digest, {
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(last === undefined ? {} : { last }),
  })
  const manifests = items.map(({ mediaType, digest, size, artifactType, annotations }) => {
    return { mediaType, digest, size, artifactType, annotations }
  })
  exchange.sendJson(
    200,
    { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests },
    {
      'Content-Type': mediaTypes.ociIndex,
      ...(artifactType === undefined ? {} : { 'OCI-Filters-Applied': 'artifactType' }),
      ...warningHeader(stale),
      ...nextLink(exchange.path, { ns: exchange.param('ns'), artifactType, last: next }),
    },
  )
}

/** `docker search host/word`: Docker's V1 protocol, which its engine still speaks for this alone. */
export async function search({ listing }: Registry, exchange: Exchange): Promise<void> {
  const query = exchange.query.get('q') ?? ''
  const limit = Math.min(limitOf(exchange) ?? defaultSearchResults, maxSearchResults)
  const results = await listing.search(query, limit, visibleTo(exchange).isVisible)
  exchange.sendJson(200, {
    query,
    num_results: results.length,
    results: results.map((result) => ({ ...result, star_count: 0, is_official: false, is_automated: false })),
  })
}

/** Of names that somebody may not read nothing is told. */
function visibleTo({ visitor }: Exchange) {
  return visitor === undefined ? {} : { isVisible: (name: Repository) => visitor.may(name, 'pull') }
}

function pageOf(exchange: Exchange): { limit?: number; last?: string } {
  const limit = limitOf(exchange)
  const last = exchange.query.get('last')
  return { ...(limit === undefined ? {} : { limit }), ...(last === null ? {} : { last }) }
}

function limitOf(exchange: Exchange): number | undefined {
  const text = exchange.query.get('n')
  if (text === null || text === '') return undefined
  if (/^\d+$/.test(text)) return Number(text)
  throw new OciError(
    'PAGINATION_INVALID',
    `n="${excerpt(text)}" is not a number of results; expected 0 or more`,
  )
}

/** RFC 8288, as the spec asks for it; absent on the last page. */
function nextLink(
  path: string,
  query: Record<string, string | number | undefined> & { last: string | undefined },
) {
  if (query.last === undefined) return {}
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value))
  return { Link: `<${path}?${search}>; rel="next"` }
}
