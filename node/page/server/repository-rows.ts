/** What a list says of each repository, its tags counted and the newest named: read once, kept until one of its tags changes. */
import type { Repository } from '../../../src/oci/oci.ts'
import type { ChangedKey, Names } from '../../../src/records/records.ts'
import type { RepositoryRow } from '../answers/images.ts'
import { isAttached } from './attached-tags.ts'

/** Tags that are counted and read of one repository, and for one answer: nobody else may wait long for it. */
const maxCounted = 1000
const maxRead = 20_000
const maxKept = 10_000
/** Read before everybody else gets a turn. */
const tagsAtOnce = 500

export class RepositoryRows {
  readonly #names: Pick<Names, 'listTags' | 'findTag' | 'findManifest'>
  readonly #kept = new Map<Repository, RepositoryRow>()
  /** Counts up with every change, so that what was read before one is not kept after it. */
  #changes = 0

  constructor(names: Pick<Names, 'listTags' | 'findTag' | 'findManifest'>) {
    this.#names = names
  }

  /** To be called with every change of the ledger. */
  changed(keys: ChangedKey[]): void {
    this.#changes++
    for (const key of keys)
      if (key.kind === 'tag' || key.kind === 'manifest') this.#kept.delete(key.repository)
  }

  /** In the order of the names; of those beyond what one answer may read, the newest tag is not named. */
  async describe(repositories: Repository[]): Promise<RepositoryRow[]> {
    const rows: RepositoryRow[] = []
    let left = maxRead
    let sinceTurn = 0
    for (const repository of repositories) {
      const kept = this.#kept.get(repository)
      const row = kept ?? (await this.#read(repository, left))
      rows.push(row)
      if (kept !== undefined) continue
      left -= row.tags
      sinceTurn += row.tags
      if (sinceTurn < tagsAtOnce) continue
      sinceTurn = 0
      await new Promise((resolve) => setImmediate(resolve))
    }
    return rows
  }

  async #read(name: Repository, left: number): Promise<RepositoryRow> {
    const changes = this.#changes
    const tags = await this.#names.listTags(name, { limit: maxCounted + 1 })
    const counted = Math.min(tags.length, maxCounted)
    const row: RepositoryRow = { name, tags: counted, ...(tags.length > counted ? { isMore: true } : {}) }
    if (counted > left) return row
    for (const tag of tags.slice(0, counted)) {
      if (await isAttached(this.#names, name, tag)) {
        row.tags--
        continue
      }
      const entry = await this.#names.findTag(name, tag)
      if (entry === undefined || entry.writtenMs <= (row.newest?.writtenMs ?? 0)) continue
      row.newest = { tag, writtenMs: entry.writtenMs, author: entry.author }
    }
    if (changes === this.#changes && this.#kept.size < maxKept) this.#kept.set(name, row)
    return row
  }
}
