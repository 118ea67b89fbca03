/** What the registry asks of a ledger, answered from its indices: one read, or one range read. */
import type { Clock } from '../base/base.ts'
import type { Digest, Repository, Tag } from '../oci/oci.ts'
import { decodeRow, entryOf } from './derived.ts'
import type { ManifestEntry, TagEntry } from './entries.ts'
import { keyText, type RecordKey } from './record.ts'
import type { Names, Page } from './records.ts'
import { tombstoneMs } from './retention.ts'
import { countAt, type Database, end, manifestAt, referrerAt, tagAt, tagOfAt } from './storage.ts'
import type { StoredRecords } from './stored.ts'
import { compareTimes, type Time } from './time.ts'

export type Queries = Omit<Names, 'publish' | 'onChange'>

/** Manifests are read by hundreds, as one can carry tens of kilobytes of annotations. */
const manifestsAtOnce = 256
const tagsAtOnce = 1024

export function createQueries(db: Database, records: StoredRecords, clock: Clock): Queries {
  /** What a row says, or, where the disk changed or lost it, what the record says from which it follows. */
  const find = <T>(at: string, key: string): T | undefined => {
    let derived: TagEntry | ManifestEntry | undefined
    // A write may come in between the two reads, and not twice in a row.
    for (let attempt = 0; attempt < 2; attempt++) {
      // A synchronous read takes 5 µs where the thread pool's detour takes 45 and delays every other request.
      const row: string | undefined = db.getSync(at)
      const entry = row === undefined ? undefined : decodeRow<T>(at, row)
      if (entry !== undefined) return entry
      const record = records.read(key)
      derived = record && entryOf(record)
      if (row === undefined && derived === undefined) return undefined
    }
    records.damaged(key)
    return derived as T | undefined
  }

  /** The same, of a row that was read a moment ago. */
  const read = <T>(at: string, key: string, row: string | undefined): T | undefined =>
    (row === undefined ? undefined : decodeRow<T>(at, row)) ?? find<T>(at, key)

  const findEntry = (repository: Repository, digest: Digest): ManifestEntry | undefined =>
    find(manifestAt(repository, digest), keyText({ kind: 'manifest', repository, digest }))

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

  const timeOf = (key: RecordKey): Time | undefined => records.read(keyText(key))?.body.time

  /**
   * Whether the manifest, which is not live, was deleted after the tag was written. Not so where it has yet to arrive. Asked of
   * current records alone, so that nodes that have the same show the same: which tombstones are buried differs. A tag that is
   * older than those are kept, and has no manifest, has lost it.
   */
  const isTakenAlong = (repository: Repository, tag: Tag, digest: Digest): boolean => {
    const deleted = timeOf({ kind: 'manifest', repository, digest })
    const written = timeOf({ kind: 'tag', repository, tag })
    if (written !== undefined && written[0] < clock.now() - tombstoneMs) return true
    // Of one moment, the tombstone has beaten what was stated together with the tag.
    return deleted !== undefined && written !== undefined && compareTimes(deleted, written) >= 0
  }

  const findTag = (repository: Repository, tag: Tag): TagEntry | undefined => {
    const entry = find<TagEntry>(tagAt(repository, tag), keyText({ kind: 'tag', repository, tag }))
    if (entry === undefined || findEntry(repository, entry.digest) !== undefined) return entry
    return isTakenAlong(repository, tag, entry.digest) ? undefined : entry
  }

  const listTags = async (repository: Repository, { after, limit }: Page): Promise<Tag[]> => {
    const prefix = tagAt(repository, '')
    const tags: Tag[] = []
    for (let from = after; tags.length < limit; ) {
      const wanted = Math.min(limit - tags.length, tagsAtOnce)
      const rows = await db.iterator({ ...rangeOf(prefix, from), limit: wanted }).all()
      const digests = rows.map(([at, row]) => read<TagEntry>(at, `t${at.slice(1)}`, row)?.digest)
      const isLive = await db.hasMany(digests.map((digest) => manifestAt(repository, digest ?? '')))
      for (const [index, [at]] of rows.entries()) {
        const tag = at.slice(prefix.length) as Tag
        from = tag
        const digest = digests[index]
        if (digest === undefined || (!isLive[index] && findTag(repository, tag) === undefined)) continue
        tags.push(tag)
      }
      if (rows.length < wanted) break
    }
    return tags
  }

  const hasPushedTag = async (repository: Repository): Promise<boolean> => {
    const prefix = tagAt(repository, '')
    for await (const [entry, json] of db.iterator(rangeOf(prefix, undefined))) {
      const tag = read<TagEntry>(entry, `t${entry.slice(1)}`, json)
      const isPushed = tag !== undefined && tag.checkedMs === undefined
      if (isPushed && findTag(repository, entry.slice(prefix.length) as Tag) !== undefined) return true
    }
    return false
  }

  const tagsOf = async (
    repository: Repository,
    digest: Digest,
    { limit = Number.POSITIVE_INFINITY }: { limit?: number } = {},
  ): Promise<Tag[]> => {
    const prefix = tagOfAt(repository, digest, '')
    const tags: Tag[] = []
    for await (const entry of db.keys(rangeOf(prefix, undefined))) {
      const tag = entry.slice(prefix.length) as Tag
      if (findTag(repository, tag)?.digest === digest) tags.push(tag)
      if (tags.length >= limit) break
    }
    return tags
  }

  const getManifests = async (repository: Repository, digests: string[]): Promise<ManifestEntry[]> => {
    const found: ManifestEntry[] = []
    for (let from = 0; from < digests.length; from += manifestsAtOnce) {
      const rows = digests.slice(from, from + manifestsAtOnce).map((digest) => manifestAt(repository, digest))
      const values = await db.getMany(rows)
      for (const [index, at] of rows.entries()) {
        const entry = read<ManifestEntry>(at, `m${at.slice(1)}`, values[index])
        // One that was deleted since the range was read is not live.
        if (entry !== undefined) found.push(entry)
      }
    }
    return found
  }

  const hasRepository = async (repository: Repository): Promise<boolean> => {
    const prefix = manifestAt(repository, '')
    return (await db.keys({ gte: prefix, lt: prefix + end, limit: 1 }).all()).length > 0
  }

  const listRepositories = async ({ after, limit }: Page): Promise<Repository[]> => {
    const found: Repository[] = []
    for (let from = after; found.length < limit; ) {
      const wanted = limit - found.length
      const names = (await list(countAt(''), {
        limit: wanted,
        ...(from === undefined ? {} : { after: from }),
      })) as Repository[]
      // A name that the disk made up has no manifest.
      for (const name of names) if (await hasRepository(name)) found.push(name)
      from = names.at(-1)
      if (names.length < wanted) break
    }
    return found
  }

  return {
    findTag: async (repository, tag) => findTag(repository, tag),
    findManifest: async (repository, digest) => findEntry(repository, digest),
    listTags,
    listRepositories,
    hasRepository,
    hasPushedTag,
    listManifests: async (repository, page) =>
      getManifests(repository, await list(manifestAt(repository, ''), page)),
    listReferrers: async (repository, subject, page) =>
      (await getManifests(repository, await list(referrerAt(repository, subject, ''), page))).filter(
        (entry) => entry.subject === subject,
      ),
    tagsOf,
  }
}
