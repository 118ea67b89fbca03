/** Which repository may read what, as LevelDB rows with a lease each. */
import { type Keyed, RecentMap } from '../../base/base.ts'
import type { Digest, Repository } from '../../oci/oci.ts'
import {
  type Database,
  linkKey,
  parseLinkKey,
  referenceKey,
  type Tables,
  within,
} from '../database/database.ts'
import { takesNothing } from '../errors.ts'
import type { Links } from '../store.ts'
import type { Claims } from './claims.ts'
import type { Leases } from './leases.ts'

/** Of links that were read or written last: some 400 bytes each, and a quick GET less by what LevelDB takes for one. */
const maxRecent = 1024

/** The leases of links as they stand in the database, by their keys. */
export type RecentLinks = Map<string, number>

export function openRecentLinks(): RecentLinks {
  return new RecentMap<string, number>(maxRecent)
}

export interface TableContext {
  database: Database
  tables: Tables
  /** Those who write one link and what hangs on it take turns, by its key. */
  turns: Keyed
  claims: Claims
  leases: Leases
  recent: RecentLinks
}

export class LinkTable implements Links {
  readonly #context: TableContext

  constructor(context: TableContext) {
    this.#context = context
  }

  async has(repository: Repository, digest: Digest): Promise<boolean> {
    const { leases, recent } = this.#context
    const key = linkKey(digest, repository)
    const lease = recent.get(key) ?? this.#read(key)
    if (lease === undefined || leases.isFresh(lease)) return lease !== undefined
    return await this.#renew(key, digest)
  }

  /** In turn with whoever removes it: it would be there again. False where it is gone. */
  async #renew(key: string, digest: Digest): Promise<boolean> {
    const { tables, turns, claims, leases, recent } = this.#context
    return await turns.run(key, () =>
      claims.hold([digest], async () => {
        // Once more: it may have been removed, or renewed, while the turn and the claim were waited for.
        const lease = this.#read(key)
        if (lease === undefined || leases.isFresh(lease)) return lease !== undefined
        const renewed = leases.now()
        try {
          await tables.links.put(key, String(renewed))
          recent.set(key, renewed)
        } catch (error) {
          // Pulls go on where nothing can be written; whoever wants to refer to it writes, and is refused then.
          if (!takesNothing(error)) throw error
        }
        return true
      }),
    )
  }

  #read(key: string): number | undefined {
    const { tables, recent } = this.#context
    const row = tables.links.getSync(key)
    if (row === undefined) return undefined
    recent.set(key, Number(row))
    return Number(row)
  }

  async anyRepository(digest: Digest): Promise<Repository | undefined> {
    for await (const key of this.#context.tables.links.keys(within(digest))) {
      const { repository } = parseLinkKey(key)
      // Renewed, so that the mount which follows finds the content.
      if (await this.has(repository, digest)) return repository
    }
    return undefined
  }

  async *repositoriesOf(digest: Digest): AsyncGenerator<Repository> {
    for await (const key of this.#context.tables.links.keys(within(digest)))
      yield parseLinkKey(key).repository
  }

  async add(
    repository: Repository,
    digests: Digest[],
    { durable = false }: { durable?: boolean } = {},
  ): Promise<void> {
    const { database, tables, claims, leases } = this.#context
    await claims.hold(digests, async () => {
      const batch = database.batch()
      for (const digest of digests)
        batch.put(linkKey(digest, repository), String(leases.now()), { sublevel: tables.links })
      await batch.write({ sync: durable })
    })
  }

  async remove(repository: Repository, digest: Digest): Promise<boolean> {
    const { tables, turns } = this.#context
    const key = linkKey(digest, repository)
    // A manifest's link goes with its records alone.
    return await turns.run(key, async () =>
      (await tables.children.has(key))
        ? false
        : removeLink(this.#context, repository, digest, { sync: true }),
    )
  }
}

/** Removes a link, and the references of its manifest when it is one's. */
export async function removeLink(
  { database, tables, recent }: TableContext,
  repository: Repository,
  digest: Digest,
  options: { sync: boolean },
): Promise<boolean> {
  const key = linkKey(digest, repository)
  const children = (await tables.children.get(key)) ?? []
  const found = tables.links.getSync(key) !== undefined
  const batch = database.batch()
  batch.del(key, { sublevel: tables.links })
  batch.del(key, { sublevel: tables.children })
  batch.del(key, { sublevel: tables.untagged })
  for (const child of children)
    batch.del(referenceKey(child, repository, digest), { sublevel: tables.references })
  try {
    await batch.write(options)
  } finally {
    // Who read it meanwhile found it there still; and one whose removal failed may be gone all the same.
    recent.delete(key)
  }
  return found
}
