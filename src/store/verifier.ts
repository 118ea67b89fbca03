/** Reads everything again; what does not hash to its name is moved out of the way, so that it is fetched anew. */
import { writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Logger, Metrics } from '../base/base.ts'
import { algorithmOf, type Digest, digestBytes, hexOf } from '../oci/oci.ts'
import { type BlobFiles, syncFolder } from './blob-files.ts'
import type { IngestPool } from './ingest-pool.ts'
import type { TableContext } from './link-table.ts'
import type { VerifyOptions, VerifyReport } from './store.ts'
import { WorkerCallError } from './worker-thread.ts'

export interface VerifierOptions {
  context: TableContext
  files: BlobFiles
  pool: IngestPool
  logger: Logger
  metrics: Metrics
}

export class Verifier {
  readonly #options: VerifierOptions

  constructor(options: VerifierOptions) {
    this.#options = options
  }

  async verify({ signal, onProgress }: VerifyOptions = {}): Promise<VerifyReport> {
    const { files, context, logger, pool } = this.#options
    const report: VerifyReport = { blobs: 0, manifests: 0, bytes: 0, corrupt: [] }
    const note = (digest: Digest, bytes: number, path: string | undefined): void => {
      report.bytes += bytes
      if (path !== undefined) {
        logger.error({ digest, path }, 'content does not hash to its name and was quarantined')
        report.corrupt.push({ digest, path })
      }
      const { corrupt: _, ...progress } = report
      onProgress?.(progress)
    }
    const check = async (digest: Digest): Promise<void> => {
      const checked = await this.#checkBlob(digest, signal)
      if (checked === undefined) return
      report.blobs++
      note(digest, checked.bytes, checked.path)
    }
    await eachAtOnce(files.list(), pool.size, check, signal)
    for await (const [key, bytes] of context.tables.manifests.iterator()) {
      signal?.throwIfAborted()
      const digest = key as Digest
      report.manifests++
      note(digest, bytes.length, await this.#checkManifest(digest, bytes))
    }
    return report
  }

  /** One blob alone; false when it was quarantined or is not here. */
  async verifyBlob(digest: Digest, signal?: AbortSignal): Promise<boolean> {
    const checked = await this.#checkBlob(digest, signal)
    if (checked?.path !== undefined) {
      this.#options.logger.error(
        { digest, path: checked.path },
        'content does not hash to its name and was quarantined',
      )
    }
    return checked !== undefined && checked.path === undefined
  }

  /** `undefined` when it was collected meanwhile; `path` is where a corrupt one lies now. */
  async #checkBlob(
    digest: Digest,
    signal: AbortSignal | undefined,
  ): Promise<{ bytes: number; path?: string } | undefined> {
    const { files, pool, context } = this.#options
    for (;;) {
      const before = await files.stat(digest)
      if (before === undefined) return undefined
      if (await this.#hashesTo(digest, pool, signal)) return { bytes: before.size }
      const path = await context.claims.remove(digest, async () => {
        // A push may have put a good file in its place since.
        if ((await files.stat(digest))?.ino !== before.ino) return undefined
        this.#options.metrics.count('shoal_store_quarantined_total', { kind: 'blob' })
        return await files.quarantine(digest, context.leases.now())
      })
      if (path !== undefined) return { bytes: before.size, path }
    }
  }

  async #hashesTo(digest: Digest, pool: IngestPool, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      const { hex } = await pool.hash(this.#options.files.blobPath(digest), algorithmOf(digest), signal)
      return hex === hexOf(digest)
    } catch (error) {
      // Of what the system can answer, this says that the disk lost the bytes; the rest says nothing about them.
      if (error instanceof WorkerCallError && error.code === 'EIO') return false
      throw error
    }
  }

  async #checkManifest(digest: Digest, bytes: Uint8Array): Promise<string | undefined> {
    const { context, files } = this.#options
    if (digestBytes(bytes, algorithmOf(digest)) === digest) return undefined
    return await context.claims.remove(digest, async () => {
      const path = files.quarantinePath(digest, context.leases.now())
      await writeFile(path, bytes, { mode: 0o600, flush: true })
      await syncFolder(dirname(path))
      await context.tables.manifests.del(digest)
      this.#options.metrics.count('shoal_store_quarantined_total', { kind: 'manifest' })
      return path
    })
  }
}

/** Runs `work` on each item, at most `limit` at a time. The first failure is thrown once what runs has ended. */
async function eachAtOnce<T>(
  items: AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const running = new Set<Promise<void>>()
  const failures: unknown[] = []
  const run = async (item: T): Promise<void> => {
    try {
      await work(item)
    } catch (error) {
      failures.push(error)
    }
  }
  for await (const item of items) {
    if (failures.length > 0 || signal?.aborted) break
    const job = run(item).then(() => void running.delete(job))
    running.add(job)
    if (running.size >= limit) await Promise.race(running)
  }
  await Promise.all(running)
  if (failures.length > 0) throw failures[0]
  signal?.throwIfAborted()
}
