/** Listing: tags, repositories, referrers and search, each answered from the ledger a page at a time; mirrored referrers by their upstream. */
import { breather, RecentMap } from '../base/base.ts'
import { type Digest, OciError, type Repository, siblingTags, type Tag } from '../oci/oci.ts'
import type { ManifestEntry } from '../records/records.ts'
import type { MirroredReferrers, Staleness } from './mirror.ts'
import type { Collaborators } from './registry.ts'
import { createStaleCount } from './stale-count.ts'

export interface RepositoryPage {
  items: string[]
  /** The `last` of the next page; `undefined` when this one is the last. */
  next?: string
}

export interface SearchResult {
  name: string
  description: string
}

export interface ReferrerPage {
  items: ManifestEntry[]
  next?: string
  stale?: Staleness
}

export interface ReferrerQuery {
  artifactType?: string
  /** The last digest of the page before. */
  last?: string
  /** How long ago an upstream may have been asked; default as for a tag. */
  maxAgeMs?: number
}

export interface Listing {
  /** Throws `NAME_UNKNOWN`. */
  listTags(repository: Repository, page: { last?: string; limit?: number }): Promise<RepositoryPage>
  /** Those that `isVisible`, where that is given. */
  listRepositories(page: { last?: string; limit?: number; isVisible?: IsVisible }): Promise<RepositoryPage>
  /**
   * Empty for an unknown subject or repository (distribution-spec, "Listing Referrers"). Of a mirrored repository what its
   * upstream says; throws `UNAVAILABLE` or `TOOMANYREQUESTS` where that does not answer and the subject is not known either.
   */
  listReferrers(repository: Repository, subject: Digest, query: ReferrerQuery): Promise<ReferrerPage>
  /**
   * Sees to it that what has a sibling's tag beside a mirrored manifest is known here (`siblingTags`), as its upstream said within the
   * last `maxAgeMs`, or as was heard before where that does not answer.
   */
  refreshSiblings(repository: Repository, subject: Digest, options: { maxAgeMs: number }): Promise<void>
  /** Repositories whose names hold the word. */
  search(word: string, limit: number, isVisible?: IsVisible): Promise<SearchResult[]>
}

/** Whether who asks may know of a repository. */
type IsVisible = (repository: Repository) => boolean

/** One answer's length, however much was asked for (CVE-2023-2253). */
const maxPage = 1000
/** Half of what clients accept in one answer, so that JSON's own weight fits too. */
const maxReferrerBytes = 2 * 1024 * 1024
const referrerBatch = 64
const maxSiblings = 20_000
/** Search reads names in order and stops here, so that a word that nothing matches stays cheap. */
const maxSearched = 100_000

export function createListing(collaborators: Collaborators): Listing {
  const { names, mirror, own, clock } = collaborators
  const counted = createStaleCount(collaborators)

  async function listTags(repository: Repository, { last, limit }: { last?: string; limit?: number }) {
    if (!(await names.hasRepository(repository))) {
      throw new OciError('NAME_UNKNOWN', `there is no repository ${repository}`)
    }
    return page(limit, last, (range) => names.listTags(repository, range))
  }

  async function listReferrers(
    repository: Repository,
    subject: Digest,
    { artifactType, last, maxAgeMs }: ReferrerQuery,
  ): Promise<ReferrerPage> {
    const { digests, stale } = await askUpstream(repository, subject, maxAgeMs)
    const isWanted = (entry: ManifestEntry): boolean =>
      (artifactType === undefined || entry.artifactType === artifactType) &&
      (digests === undefined || digests.has(entry.digest))
    const found = stale === undefined ? {} : { stale }
    const items: ManifestEntry[] = []
    let after = last
    for (let bytes = 0; bytes < maxReferrerBytes; ) {
      const batch = await names.listReferrers(repository, subject, {
        limit: referrerBatch,
        ...(after === undefined ? {} : { after }),
      })
      bytes += batch.reduce((sum, entry) => sum + sizeOf(entry), 0)
      items.push(...batch.filter(isWanted))
      after = batch.at(-1)?.digest
      if (after === undefined || batch.length < referrerBatch) return { items, ...found }
    }
    return after === undefined ? { items, ...found } : { items, next: after, ...found }
  }

  /** Which of the referrers that are known here count; all of the cluster's own. */
  async function askUpstream(
    repository: Repository,
    subject: Digest,
    maxAgeMs: number | undefined,
  ): Promise<{ digests?: ReadonlySet<Digest>; stale?: Staleness }> {
    if (await own.isOwn(repository)) return {}
    const wanted = maxAgeMs === undefined ? {} : { maxAgeMs }
    const { digests, ...found }: MirroredReferrers = counted(
      await mirror.findReferrers(repository, subject, wanted),
    )
    return digests === undefined ? found : { ...found, digests: new Set(digests) }
  }

  /** By subject, when its upstream was asked about its siblings. */
  const siblingsAskedMs = new RecentMap<string, number>(maxSiblings)

  async function refreshSiblings(
    repository: Repository,
    subject: Digest,
    { maxAgeMs }: { maxAgeMs: number },
  ): Promise<void> {
    const name = `${repository}@${subject}`
    const nowMs = clock.now()
    if (nowMs - (siblingsAskedMs.get(name) ?? Number.NEGATIVE_INFINITY) < maxAgeMs) return
    if (!(await own.isMirrored(repository))) return
    siblingsAskedMs.set(name, nowMs)
    await Promise.all(
      siblingTags(subject).map(async (tag) => {
        try {
          const found = await mirror.resolveTag(repository, tag, await names.findTag(repository, tag))
          if (found === 'silence') siblingsAskedMs.delete(name)
        } catch (error) {
          // One that does not answer now may have none: what is known of them here stays.
          if (!(error instanceof OciError)) throw error
          siblingsAskedMs.delete(name)
        }
      }),
    )
  }

  async function search(
    word: string,
    limit: number,
    isVisible: IsVisible = () => true,
  ): Promise<SearchResult[]> {
    const wanted = (name: Repository): boolean => name.includes(word) && isVisible(name)
    return (await find(wanted, { limit })).map((name) => ({ name, description: '' }))
  }

  /** The first that are wanted. It stops after a number of names, so that a search that nothing matches stays cheap. */
  async function find(
    isWanted: IsVisible,
    { after: from, limit }: { after?: string; limit: number },
  ): Promise<Repository[]> {
    const found: Repository[] = []
    let after = from
    const breathe = breather()
    for (let searched = 0; searched < maxSearched && found.length < limit; searched += maxPage) {
      const batch = await names.listRepositories({
        limit: maxPage,
        ...(after === undefined ? {} : { after }),
      })
      // Rules may be many, and each have to be looked at for each name.
      for (const name of batch) {
        if (isWanted(name)) found.push(name)
        if (found.length >= limit) break
        const rest = breathe()
        if (rest !== undefined) await rest
      }
      after = batch.at(-1)
      if (batch.length < maxPage) break
    }
    return found.slice(0, limit)
  }

  return {
    listTags,
    listRepositories: ({ last, limit, isVisible }) =>
      page(limit, last, (range) =>
        isVisible === undefined ? names.listRepositories(range) : find(isVisible, range),
      ),
    listReferrers,
    refreshSiblings,
    search,
  }
}

/** Asks for one more than fits, which tells whether there is a next page. */
async function page(
  wanted: number | undefined,
  last: string | undefined,
  read: (range: { after?: string; limit: number }) => Promise<(Tag | Repository)[]>,
): Promise<RepositoryPage> {
  const limit = Math.min(wanted ?? maxPage, maxPage)
  if (limit === 0) return { items: [] }
  const items: string[] = await read({ limit: limit + 1, ...(last === undefined ? {} : { after: last }) })
  if (items.length <= limit) return { items }
  const shown = items.slice(0, limit)
  const next = shown.at(-1)
  return next === undefined ? { items: shown } : { items: shown, next }
}

function sizeOf(entry: ManifestEntry): number {
  const annotations = Object.entries(entry.annotations ?? {})
  return annotations.reduce((sum, [key, value]) => sum + key.length + value.length, 256)
}
