/**
 * Blobs whose bytes the disk does not give. One failed read may be a bus, or too many open files, so it takes nothing away; who
 * listens tries again, and may set the file aside, so that another copy can come in its place, and take it back.
 */
import { rm } from 'node:fs/promises'
import { algorithmOf, type Digest, hexOf } from '../../oci/oci.ts'
import type { BlobFiles } from '../files/blob-files.ts'
import type { IngestPool } from '../ingest/ingest-pool.ts'
import type { TableContext } from '../links/link-table.ts'
import { WorkerCallError } from '../threads/worker-thread.ts'
import type { Verifier } from './verifier.ts'

interface UnreadableOptions {
  context: TableContext
  files: BlobFiles
  pool: IngestPool
  verifier: Pick<Verifier, 'tell'>
}

/** Whether the disk said that it cannot read: nothing that goes away by waiting for others. */
export function isReadFault(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EIO'
}

export class Unreadable {
  readonly listeners = new Set<(digest: Digest) => void>()
  readonly #options: UnreadableOptions

  constructor(options: UnreadableOptions) {
    this.#options = options
  }

  /** Tells of a read that failed, if it is for such a reason. */
  note(digest: Digest, error: unknown): void {
    if (isReadFault(error)) for (const listener of this.listeners) listener(digest)
  }

  /** Returns where it lies now; `undefined` when it is not here, or is being written just now. */
  async setAside(digest: Digest): Promise<string | undefined> {
    const { context, files, verifier } = this.#options
    const path = await context.claims.setAside(digest, async () =>
      (await files.stat(digest)) === undefined
        ? undefined
        : await files.quarantine(digest, context.leases.now(), { isUnread: true }),
    )
    if (path !== undefined)
      verifier.tell({ kind: 'blob', digest }, path, 'a blob cannot be read and was set aside')
    return path
  }

  async isAside(digest: Digest): Promise<boolean> {
    const { files } = this.#options
    if ((await files.stat(digest)) !== undefined) return false
    return (await files.listUnread()).some((aside) => aside.digest === digest)
  }

  /** What was set aside, also before a restart, and is not here again. */
  async listAside(): Promise<{ digest: Digest; path: string }[]> {
    const { files } = this.#options
    const missing: { digest: Digest; path: string }[] = []
    for (const aside of await files.listUnread())
      if ((await files.stat(aside.digest)) === undefined) missing.push(aside)
    return missing
  }

  /** True once the blob is here again: another copy, or the file itself, if it can be read after all and is right. */
  async takeBack(digest: Digest, path: string): Promise<boolean> {
    const { context, files, pool } = this.#options
    if ((await files.stat(digest)) !== undefined) return true
    try {
      const { hex } = await pool.hash(path, algorithmOf(digest))
      if (hex !== hexOf(digest)) return false
    } catch (error) {
      if (error instanceof WorkerCallError) return false
      throw error
    }
    await context.claims.write([digest], async () => {
      if ((await files.stat(digest)) === undefined) await files.publishFile(path, digest)
      else await rm(path, { force: true })
    })
    return true
  }
}
