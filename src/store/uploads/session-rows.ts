/** The rows of upload sessions: what of a session is known after a crash. */
import type { Digest, Repository } from '../../oci/oci.ts'
import { linkKey, type SessionRow } from '../database/database.ts'
import { type BlobSums, encodeSums } from '../files/block-sums.ts'
import type { TableContext } from '../links/link-table.ts'

export class SessionRows {
  readonly #context: TableContext

  constructor(context: TableContext) {
    this.#context = context
  }

  list(): AsyncIterable<[string, SessionRow]> {
    return this.#context.tables.sessions.iterator()
  }

  /** Survives the process; not synced, because a session that a power cut takes with it is begun again. */
  async save(id: string, row: SessionRow): Promise<void> {
    await this.#context.tables.sessions.put(id, row)
  }

  /** Synced when the row could otherwise come back as that of a proven session. */
  async remove(id: string, row: SessionRow): Promise<void> {
    const { database, tables } = this.#context
    const batch = database.batch().del(id, { sublevel: tables.sessions })
    await batch.write({ sync: row.finishing !== undefined })
  }

  /** Ends a session whose blob is in its place: links it to the repository. With `sums`, they are not stored yet, and nor is the session. */
  async commit(id: string, repository: Repository, digest: Digest, sums?: BlobSums): Promise<void> {
    const { database, tables, leases } = this.#context
    const batch = database.batch()
    batch.put(linkKey(digest, repository), String(leases.now()), { sublevel: tables.links })
    if (sums === undefined) batch.del(id, { sublevel: tables.sessions })
    else batch.put(digest, encodeSums(sums), { sublevel: tables.sums })
    await batch.write({ sync: true })
  }
}
