/** When each blob was last used, and which are being read: noted in memory, written in batches. */
import type { Digest } from '../../oci/oci.ts'
import { unlessFull } from '../blobs/sum-table.ts'
import type { TableContext } from '../links/link-table.ts'

/** More that were used since the last batch begin the next. */
const mostPending = 4096

export class LastUses {
  readonly #context: Pick<TableContext, 'database' | 'tables' | 'leases'>
  #pending = new Map<Digest, number>()
  #writing: Promise<void> | undefined
  readonly #readers = new Map<Digest, number>()

  constructor(context: Pick<TableContext, 'database' | 'tables' | 'leases'>) {
    this.#context = context
  }

  note(digest: Digest): void {
    this.#pending.set(digest, this.#context.leases.now())
    // Where it fails the next batch says so.
    if (this.#pending.size >= mostPending && this.#writing === undefined)
      this.flush().catch(() => this.#pending.clear())
  }

  /** By the store's time; `undefined` for one that was not used since it was written. */
  find(digest: Digest): number | undefined {
    const pending = this.#pending.get(digest)
    if (pending !== undefined) return pending
    const row = this.#context.tables.uses.getSync(digest)
    return row === undefined ? undefined : Number(row)
  }

  /** How long ago that was, while the node ran. */
  ageMs(digest: Digest): number | undefined {
    const usedMs = this.find(digest)
    return usedMs === undefined ? undefined : Math.max(0, this.#context.leases.now() - usedMs)
  }

  isRead(digest: Digest): boolean {
    return this.#readers.has(digest)
  }

  /** The same chunks; while they are read it is in use. */
  async *during(digest: Digest, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    this.#readers.set(digest, (this.#readers.get(digest) ?? 0) + 1)
    this.note(digest)
    try {
      yield* chunks
    } finally {
      const left = (this.#readers.get(digest) ?? 1) - 1
      if (left === 0) this.#readers.delete(digest)
      else this.#readers.set(digest, left)
    }
  }

  /** Not synced: what a power cut takes is a little of the order. */
  async flush(): Promise<void> {
    await this.#writing
    if (this.#pending.size === 0) return
    const pending = this.#pending
    this.#pending = new Map()
    const { database, tables } = this.#context
    const batch = database.batch()
    for (const [digest, usedMs] of pending) batch.put(digest, String(usedMs), { sublevel: tables.uses })
    this.#writing = unlessFull(() => batch.write()).finally(() => {
      this.#writing = undefined
    })
    await this.#writing
  }

  /** It is not here any more. */
  async forget(digest: Digest): Promise<void> {
    this.#pending.delete(digest)
    await unlessFull(() => this.#context.tables.uses.del(digest))
  }
}
