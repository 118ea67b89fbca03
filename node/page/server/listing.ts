/** The lists of the page: repositories, and the tags of one, a part at a time. */
import { breather } from '../../../src/base/base.ts'
import type { Digest, Repository } from '../../../src/oci/oci.ts'
import type { Rows } from '../answers/answer.ts'
import type { RepositoryRow, TagRow } from '../answers/images.ts'
import type { PageNode } from '../page.ts'
import { noSuchRepository } from './changes.ts'
import { ImageLookups } from './image-facts.ts'
import { PageError } from './page-error.ts'
import type { Query } from './query.ts'
import { RepositoryRows } from './repository-rows.ts'
import { TagLists } from './tag-lists.ts'
import { authorFor, type Visitor } from './visitors.ts'

/** Names that a list or a search looks through at most. */
export const maxRepositories = 10_000
const namesAtOnce = 1000

export class PageListing {
  readonly #node: PageNode
  readonly #repositories: RepositoryRows
  readonly #tags: TagLists
  readonly #images: ImageLookups

  constructor(node: PageNode) {
    this.#node = node
    this.#repositories = new RepositoryRows(node.names)
    this.#tags = new TagLists(node.names)
    this.#images = new ImageLookups(node.store)
  }

  /** Follows the ledger until the unsubscriber is called. */
  follow(): () => void {
    return this.#node.names.onChange((keys) => {
      this.#repositories.changed(keys)
      this.#tags.changed(keys)
    })
  }

  async repositories(query: Query, visitor: Visitor): Promise<Rows<RepositoryRow>> {
    const { offset, limit } = query.rows()
    const typed = query.typed()
    const order = query.oneOf('order', 'name', 'newest')
    const { names, isCut } = await this.repositoryNames(visitor)
    const matching = typed === '' ? names : names.filter((name) => name.includes(typed))
    const part = { total: matching.length, ...(isCut ? { isCut } : {}), offset }
    if (order === 'name') {
      const rows = await this.#repositories.describe(matching.slice(offset, offset + limit))
      return { ...part, rows: rows.map((row) => asToldTo(visitor, row)) }
    }
    const all = await this.#repositories.describe(matching)
    const writtenMs = (row: RepositoryRow) => row.newest?.writtenMs ?? 0
    all.sort((a, b) => writtenMs(b) - writtenMs(a))
    return { ...part, rows: all.slice(offset, offset + limit).map((row) => asToldTo(visitor, row)) }
  }

  async tags(query: Query, visitor: Visitor): Promise<Rows<TagRow>> {
    const { offset, limit } = query.rows()
    const typed = query.typed()
    const repository = query.repository()
    const order = query.oneOf('order', 'newest', 'name')
    if (!visitor.may(repository, 'pull') || !(await this.#node.names.hasRepository(repository)))
      throw new PageError('NAME_UNKNOWN', 404, noSuchRepository(repository))
    const { isCut, newest, byName } = await this.#tags.of(repository)
    const all = order === 'newest' ? newest : byName
    const matching = typed === '' ? all : all.filter(({ tag }) => tag.toLowerCase().includes(typed))
    const rows = matching.slice(offset, offset + limit).map(async (listed): Promise<TagRow> => {
      const { tag, digest, mediaType, writtenMs } = listed
      const facts = await this.#images.find(digest as Digest, mediaType)
      return { tag, digest, mediaType, writtenMs, ...authorFor(visitor, listed), platforms: [], ...facts }
    })
    return { total: matching.length, ...(isCut ? { isCut } : {}), offset, rows: await Promise.all(rows) }
  }

  /** In byte order, those that the visitor may read. */
  async repositoryNames(visitor: Visitor): Promise<{ names: Repository[]; isCut: boolean }> {
    const { names, isCut } = await this.#allNames()
    if (visitor.mayEverywhere('pull')) return { names, isCut }
    const breathe = breather()
    const visible: Repository[] = []
    for (const name of names) {
      if (visitor.may(name, 'pull')) visible.push(name)
      const rest = breathe()
      if (rest !== undefined) await rest
    }
    return { names: visible, isCut }
  }

  async #allNames(): Promise<{ names: Repository[]; isCut: boolean }> {
    const names: Repository[] = []
    for (let after: string | undefined; names.length < maxRepositories; after = names.at(-1)) {
      const batch = await this.#node.names.listRepositories({
        limit: namesAtOnce,
        ...(after === undefined ? {} : { after }),
      })
      names.push(...batch)
      if (batch.length < namesAtOnce) return { names, isCut: false }
    }
    return { names, isCut: true }
  }
}

function asToldTo(visitor: Visitor, { newest, ...row }: RepositoryRow): RepositoryRow {
  if (newest === undefined) return row
  const { tag, writtenMs } = newest
  return { ...row, newest: { tag, writtenMs, ...authorFor(visitor, newest) } }
}
