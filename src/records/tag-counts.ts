/** How many tags each repository has: counted by the names of rows alone, and kept until one of its records changes. */
import { type Clock, RecentMap } from '../base/base.ts'
import type { Digest, Repository, Tag } from '../oci/oci.ts'
import type { ChangedKey, Names } from './records.ts'
import { type Database, end, manifestAt, tagOfAt } from './storage.ts'

/** Of one repository: beyond it, there are more. */
const maxCountedTags = 1_000

export interface TagCount {
  tags: number
  isMore: boolean
}

const maxKept = 10_000
/** Tags that wait for a manifest go with time alone, and an audit puts rows right without a change. */
const keptMs = 60 * 60_000

interface TagCountsOptions {
  db: Database
  findTag: Names['findTag']
  /** Measures durations. */
  steady: Clock
}

export class TagCounts {
  readonly #options: TagCountsOptions
  readonly #kept = new RecentMap<Repository, { count: TagCount; untilMs: number }>(maxKept)
  /** Counts up with every change, so that what was read before one is not kept after it. */
  #changes = 0

  constructor(options: TagCountsOptions) {
    this.#options = options
  }

  /** To be called with every change of the ledger. */
  changed(keys: ChangedKey[]): void {
    this.#changes++
    for (const key of keys)
      if (key.kind === 'tag' || key.kind === 'manifest') this.#kept.delete(key.repository)
  }

  async count(repository: Repository): Promise<TagCount> {
    const now = this.#options.steady.now()
    const kept = this.#kept.get(repository)
    if (kept !== undefined && now < kept.untilMs) return kept.count
    const changes = this.#changes
    const tags = await this.#read(repository, maxCountedTags + 1)
    const count = { tags: Math.min(tags, maxCountedTags), isMore: tags > maxCountedTags }
    if (changes === this.#changes) this.#kept.set(repository, { count, untilMs: now + keptMs })
    return count
  }

  /** Tags by digest beside manifests by digest: reading each tag, and looking for its manifest, takes some times as long. */
  async #read(repository: Repository, limit: number): Promise<number> {
    const prefix = tagOfAt(repository, '', '').slice(0, -1)
    let found = 0
    for (let after = prefix; found < limit; ) {
      const wanted = limit - found
      const rows = await this.#options.db.keys({ gt: after, lt: prefix + end, limit: wanted }).all()
      const tags = rows.map((row) => row.slice(prefix.length).split(' ') as [Digest, Tag])
      const live = await this.#live(
        repository,
        tags.map(([digest]) => digest),
      )
      for (const [digest, tag] of tags)
        if (live.has(digest) || (await this.#options.findTag(repository, tag))?.digest === digest) found++
      after = rows.at(-1) ?? prefix
      if (rows.length < wanted) break
    }
    return found
  }

  /** Those of digests, which are in their order, that have a live manifest. */
  async #live(repository: Repository, digests: Digest[]): Promise<Set<Digest>> {
    const { db } = this.#options
    const [first, last] = [digests[0], digests.at(-1)]
    if (first === undefined || last === undefined) return new Set()
    const limit = 2 * digests.length
    const range = { gte: manifestAt(repository, first), lte: manifestAt(repository, last), limit }
    const rows = await db.keys(range).all()
    const live = new Set(rows.map((row) => row.slice(manifestAt(repository, '').length) as Digest))
    const read = rows.at(-1)
    if (rows.length < limit || read === undefined) return live
    // Where manifests without a tag are many, they are not all read.
    const beyond = digests.filter((digest) => manifestAt(repository, digest) > read)
    const isLive = await db.hasMany(beyond.map((digest) => manifestAt(repository, digest)))
    for (const [index, digest] of beyond.entries()) if (isLive[index]) live.add(digest)
    return live
  }
}
