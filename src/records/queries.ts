/** What the registry asks of a ledger, answered from its indices: one read, or one range read. */
import type { Clock } from '../base/base.ts'
import type { Digest, Repository, Tag } from '../oci/oci.ts'
import type { ManifestEntry, TagEntry } from './entries.ts'
import { decodeRecord, keyText } from './record.ts'
import type { Names, Page } from './records.ts'
import { tombstoneMs } from './retention.ts'
import { countAt, type Database, end, manifestAt, recordAt, referrerAt, tagAt, tagOfAt } from './storage.ts'
import { compareTimes, type Time } from './time.ts'

export type Queries = Omit<Names, 'publish' | 'onChange'>

/** Manifests are read by hundreds, as one can carry tens of kilobytes of annotations. */
const manifestsAtOnce = 256
const tagsAtOnce = 1024

export function createQueries(db: Database, clock: Clock): Queries {
  const find = <T>(entry: string): T | undefined => {
    // A synchronous read takes 5 µs where the thread pool's detour takes 45 and delays every other request.
    const json = db.getSync(entry)
    return json === undefined ? undefined : (JSON.parse(json) as T)
  }

  const rangeOf = (prefix: string, after: string | undefined) => ({
    ...(after === undefined || after === ''
      ? { gte: prefix }
      : { gt: after > end ? prefix + end : prefix + after }),
    lt: prefix + end,
  })

  /** The rest of each entry that begins with `prefix` and comes after `after`. */
  const list = async (prefix: string, { after, limit }: Page): Promise<string[]> => {
    if (limit <= 0) return []
    const entries = await db.keys({ ...rangeOf(prefix, after), limit }).all()
    return entries.map((entry) => entry.slice(prefix.length))
  }

  const timeAt = (entry: string): Time | undefined => {
    const bytes = db.getSync<string, Uint8Array>(entry, { valueEncoding: 'view' })
    return bytes === undefined ? undefined : decodeRecord(bytes).body.time
  }

  /**
   * Whether the manifest, which is not live, was deleted after the tag was written. Not so where it has yet to arrive. Asked of
   * current records alone, so that nodes that have the same show the same: which tombstones are buried differs. A tag that is
   * older than those are kept, and has no manifest, has lost it.
   */
  const isTakenAlong = (repository: Repository, tag: Tag, digest: Digest): boolean => {
    const deleted = timeAt(recordAt(keyText({ kind: 'manifest', repository, digest })))
    const written = timeAt(recordAt(keyText({ kind: 'tag', repository, tag })))
    if (written !== undefined && written[0] < clock.now() - tombstoneMs) return true
    // Of one moment, the tombstone has beaten what was stated together with the tag.
    return deleted !== undefined && written !== undefined && compareTimes(deleted, written) >= 0
  }

  const findTag = (repository: Repository, tag: Tag): TagEntry | undefined => {
    const entry = find<TagEntry>(tagAt(repository, tag))
    if (entry === undefined || db.getSync(manifestAt(repository, entry.digest)) !== undefined) return entry
    return isTakenAlong(repository, tag, entry.digest) ? undefined : entry
  }

  const listTags = async (repository: Repository, { after, limit }: Page): Promise<Tag[]> => {
    const prefix = tagAt(repository, '')
    const tags: Tag[] = []
    for (let from = after; tags.length < limit; ) {
      const wanted = Math.min(limit - tags.length, tagsAtOnce)
      const entries = await db.iterator({ ...rangeOf(prefix, from), limit: wanted }).all()
      const digests = entries.map(([, json]) => (JSON.parse(json) as TagEntry).digest)
      const isLive = await db.hasMany(digests.map((digest) => manifestAt(repository, digest)))
      for (const [index, [entry]] of entries.entries()) {
        const tag = entry.slice(prefix.length) as Tag
        from = tag
        const digest = digests[index]
        if (digest === undefined || (!isLive[index] && isTakenAlong(repository, tag, digest))) continue
        tags.push(tag)
      }
      if (entries.length < wanted) break
    }
    return tags
  }

  const hasPushedTag = async (repository: Repository): Promise<boolean> => {
    const prefix = tagAt(repository, '')
    for await (const [entry, json] of db.iterator(rangeOf(prefix, undefined))) {
      const isPushed = (JSON.parse(json) as TagEntry).checkedMs === undefined
      if (isPushed && findTag(repository, entry.slice(prefix.length) as Tag) !== undefined) return true
    }
    return false
  }

  const tagsOf = async (repository: Repository, digest: Digest): Promise<Tag[]> => {
    const tags = await list(tagOfAt(repository, digest, ''), { limit: Number.MAX_SAFE_INTEGER })
    if (db.getSync(manifestAt(repository, digest)) !== undefined) return tags as Tag[]
    return (tags as Tag[]).filter((tag) => !isTakenAlong(repository, tag, digest))
  }

  const getManifests = async (repository: Repository, digests: string[]): Promise<ManifestEntry[]> => {
    const found: ManifestEntry[] = []
    for (let from = 0; from < digests.length; from += manifestsAtOnce) {
      const entries = digests.slice(from, from + manifestsAtOnce)
      for (const json of await db.getMany(entries.map((digest) => manifestAt(repository, digest)))) {
        // One that was deleted since the range was read is not live.
        if (json !== undefined) found.push(JSON.parse(json) as ManifestEntry)
      }
    }
    return found
  }

  return {
    findTag: async (repository, tag) => findTag(repository, tag),
    findManifest: async (repository, digest) => find<ManifestEntry>(manifestAt(repository, digest)),
    listTags,
    listRepositories: async (page) => (await list(countAt(''), page)) as Repository[],
    hasPushedTag,
    hasRepository: async (repository) => db.getSync(countAt(repository)) !== undefined,
    listManifests: async (repository, page) =>
      getManifests(repository, await list(manifestAt(repository, ''), page)),
    listReferrers: async (repository, subject, page) =>
      getManifests(repository, await list(referrerAt(repository, subject, ''), page)),
    tagsOf,
  }
}
