/** Reads everything again; what does not hash to its name is moved out of the way, so that it is fetched anew. */
import type { Stats } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Logger, Metrics } from '../../base/base.ts'
import { algorithmOf, type Digest, digestBytes, hexOf } from '../../oci/oci.ts'
import { type BlobFiles, syncFolder } from '../files/blob-files.ts'
import type { BlobSums } from '../files/block-sums.ts'
import type { HashOptions, IngestPool } from '../ingest/ingest-pool.ts'
import type { TableContext } from '../links/link-table.ts'
import type { VerifyOptions, VerifyReport } from '../store.ts'
import { WorkerCallError } from '../threads/worker-thread.ts'
import type { SoundFiles } from './sound-files.ts'
import { type SumTable, unlessFull } from './sum-table.ts'

export interface VerifierOptions {
  context: TableContext
  files: BlobFiles
  pool: IngestPool
  sums: SumTable
  sound: SoundFiles
  logger: Logger
  metrics: Metrics
}

/** What turned out to be wrong and lies in quarantine now. */
export interface Quarantined {
  kind: 'blob' | 'manifest'
  digest: Digest
}

export class Verifier {
  readonly #options: VerifierOptions
  /** Told of each. */
  readonly listeners = new Set<(quarantined: Quarantined) => void>()

  constructor(options: VerifierOptions) {
    this.#options = options
  }

  async verify({ signal, onProgress }: VerifyOptions = {}): Promise<VerifyReport> {
    const { files, context, pool, logger } = this.#options
    const report: VerifyReport = { blobs: 0, manifests: 0, bytes: 0, corrupt: [], unreadable: [] }
    const note = (digest: Digest, bytes: number, path: string | undefined): void => {
      report.bytes += bytes
      if (path !== undefined) report.corrupt.push({ digest, path })
      const { corrupt: _, ...progress } = report
      onProgress?.(progress)
    }
    const check = async (digest: Digest): Promise<void> => {
      const checked = await this.checkBlob(digest, { signal }).catch((error: unknown) => {
        if (!(error instanceof WorkerCallError) || signal?.aborted) throw error
        // One that cannot be read is no reason not to look at the others.
        logger.error({ err: error, digest }, 'a blob cannot be read')
        report.unreadable.push(digest)
        return undefined
      })
      if (checked === undefined) return
      report.blobs++
      note(digest, checked.bytes, checked.path)
    }
    await eachAtOnce(files.list(), pool.size, check, signal)
    for await (const [key, bytes] of context.tables.manifests.iterator()) {
      signal?.throwIfAborted()
      const digest = key as Digest
      report.manifests++
      note(digest, bytes.length, await this.checkManifest(digest, bytes))
    }
    await context.database.check(signal === undefined ? {} : { signal })
    return report
  }

  /** One blob alone; false when it was quarantined or is not here. */
  async verifyBlob(digest: Digest, signal?: AbortSignal): Promise<boolean> {
    const checked = await this.checkBlob(digest, { signal })
    return checked !== undefined && checked.path === undefined
  }

  /** `undefined` when it was collected meanwhile; `path` is where a corrupt one lies now. */
  async checkBlob(
    digest: Digest,
    options: HashOptions = {},
  ): Promise<{ bytes: number; path?: string } | undefined> {
    const { files, context } = this.#options
    for (;;) {
      const before = await files.stat(digest)
      if (before === undefined) return undefined
      if (await this.#isRight(digest, before, options)) return { bytes: before.size }
      const path = await context.claims.setAside(digest, async () => {
        // A push may have put a good file in its place since.
        if ((await files.stat(digest))?.ino !== before.ino) return undefined
        return await files.quarantine(digest, context.leases.now())
      })
      if (path === undefined) continue
      this.tell({ kind: 'blob', digest }, path)
      return { bytes: before.size, path }
    }
  }

  /** `before` is what was known of the file before it was read. */
  async #isRight(digest: Digest, before: Stats, options: HashOptions): Promise<boolean> {
    const { files, pool, sound } = this.#options
    try {
      const hashed = await pool.hash(files.blobPath(digest), algorithmOf(digest), options)
      if (hashed.hex !== hexOf(digest)) return false
      await this.#keepSums(digest, hashed)
      if (hashed.inode === before.ino) sound.add(digest, before)
      return true
    } catch (error) {
      if (!(error instanceof WorkerCallError)) throw error
      // It was collected since; what is there now is looked at again.
      if (error.code === 'ENOENT') return false
      // Anything else the system says, such as too many open files, says nothing of the bytes.
      throw error
    }
  }

  async #keepSums(digest: Digest, { size, sums }: BlobSums): Promise<void> {
    const kept = this.#options.sums.find(digest)
    const isKept = kept?.size === size && Buffer.compare(kept.sums, sums) === 0
    // What was found right is right also where there is no room to note it.
    if (!isKept) await unlessFull(() => this.#options.sums.put(digest, { size, sums }))
  }

  /** Bytes that stand under the digest: where they lie now if they are not its own, `undefined` if they are, or are replaced already. */
  async checkManifest(digest: Digest, bytes: Uint8Array): Promise<string | undefined> {
    const { context, files } = this.#options
    const { manifests } = context.tables
    if (isNamed(bytes, digest)) return undefined
    const path = await context.claims.setAside(digest, async () => {
      // A push may have put a good one in its place since.
      const now = await manifests.get(digest)
      if (now === undefined || isNamed(now, digest)) return undefined
      const place = files.quarantinePath(digest, context.leases.now())
      await writeFile(place, now, { mode: 0o600, flush: true })
      await syncFolder(dirname(place))
      await manifests.del(digest)
      return place
    })
    if (path !== undefined) this.tell({ kind: 'manifest', digest }, path)
    return path
  }

  tell(
    quarantined: Quarantined,
    path: string,
    why = 'content does not hash to its name and was quarantined',
  ): void {
    const { logger, metrics } = this.#options
    metrics.count('shoal_store_quarantined_total', { kind: quarantined.kind })
    logger.error({ ...quarantined, path }, why)
    for (const listener of this.listeners) listener(quarantined)
  }
}

function isNamed(bytes: Uint8Array, digest: Digest): boolean {
  return digestBytes(bytes, algorithmOf(digest)) === digest
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
