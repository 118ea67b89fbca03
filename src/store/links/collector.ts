/** Takes links, then blobs, then manifests that nothing needs, one at a time and beside everything else. */
import { type Metrics, Semaphore } from '../../base/base.ts'
import type { Digest, Repository } from '../../oci/oci.ts'
import { unlessFull } from '../blobs/sum-table.ts'
import { hasWithin, linkKey, parseLinkKey, referenceKey, within } from '../database/database.ts'
import type { BlobFiles } from '../files/blob-files.ts'
import type { CollectOptions, CollectReport } from '../store.ts'
import { removeLink, type TableContext } from './link-table.ts'

export class Collector {
  readonly #context: TableContext
  readonly #files: BlobFiles
  readonly #metrics: Metrics
  readonly #turn = new Semaphore(1)
  /** Whether links were removed that a power cut would bring back, by this collection or one that was cut off. */
  readonly #unsynced = { links: false }

  constructor(context: TableContext, files: BlobFiles, metrics: Metrics) {
    this.#context = context
    this.#files = files
    this.#metrics = metrics
  }

  /** A second collection waits for the first. */
  async collect(options: CollectOptions): Promise<CollectReport> {
    return await this.#turn.run(async () => {
      const collection = new Collection(this.#context, this.#files, options, this.#unsynced)
      try {
        return await collection.run()
      } finally {
        if (options.dryRun !== true) this.#count(collection.report)
      }
    })
  }

  /** What was removed before it failed is gone as well. */
  #count({ blobs, manifests, bytes }: CollectReport): void {
    this.#metrics.count('shoal_gc_runs_total')
    this.#metrics.count('shoal_gc_removed_total', { kind: 'blob' }, blobs)
    this.#metrics.count('shoal_gc_removed_total', { kind: 'manifest' }, manifests)
    this.#metrics.count('shoal_gc_freed_bytes_total', {}, bytes)
  }
}

/**
 * One walk over the store. Its memory does not grow with the store: what a dry run would have removed is noted in a
 * table, so that it counts what a real run would.
 */
class Collection {
  readonly #context: TableContext
  readonly #files: BlobFiles
  readonly #options: CollectOptions
  readonly report: CollectReport = { blobs: 0, manifests: 0, links: 0, bytes: 0 }
  readonly #unsynced: { links: boolean }
  #checked = 0

  constructor(
    context: TableContext,
    files: BlobFiles,
    options: CollectOptions,
    unsynced: { links: boolean },
  ) {
    this.#context = context
    this.#files = files
    this.#options = options
    this.#unsynced = unsynced
  }

  async run(): Promise<CollectReport> {
    const { tables } = this.#context
    await tables.doomed.clear()
    try {
      await this.#collectLinks(tables.links.keys())
      // What refers to a manifest that went may have been passed by before it: until nothing more goes.
      for (let before = 0; before < this.report.links && this.#options.untagging !== undefined; ) {
        before = this.report.links
        await this.#collectLinks(tables.untagged.keys())
      }
      // Links before files: a file without a link is found by the next walk, a link without its file promises what is gone.
      // The sync makes the order hold through a power cut as well. Without need it is left out, so that a full disk can be cleared.
      if (this.#unsynced.links) await this.#context.database.sync()
      this.#unsynced.links = false
      for await (const digest of this.#files.list()) {
        this.#step()
        await this.#collectBlob(digest)
      }
      for await (const key of tables.manifests.keys()) {
        this.#step()
        await this.#collectManifest(key as Digest)
      }
    } finally {
      await tables.doomed.clear()
    }
    return this.report
  }

  async #collectLinks(keys: AsyncIterable<string>): Promise<void> {
    for await (const key of keys) {
      this.#step()
      const { repository, digest } = parseLinkKey(key)
      await this.#collectLink(repository, digest)
    }
  }

  /** Before each of the links, blobs and manifests. */
  #step(): void {
    this.#options.signal?.throwIfAborted()
    this.#options.onProgress?.({ checked: this.#checked++, bytes: this.report.bytes })
  }

  /** `isOrphan` when what listed it just went. */
  async #collectLink(repository: Repository, digest: Digest, isOrphan = false): Promise<void> {
    const { tables } = this.#context
    const key = linkKey(digest, repository)
    if (!(await this.#isIdle(repository, digest))) return
    if (!(await this.#isGone(repository, digest, isOrphan))) return
    const children = (await tables.children.get(key)) ?? []
    const removed = await this.#context.claims.remove(digest, async () => {
      // Again, now that nobody can renew it: who pushes it holds it until it is published.
      if (!(await this.#isIdle(repository, digest))) return false
      if (!(await this.#isGone(repository, digest, isOrphan))) return false
      if (this.#options.dryRun) await this.#doom(repository, digest, children)
      else {
        this.#unsynced.links = true
        await removeLink(this.#context, repository, digest, { sync: false })
      }
      return true
    })
    if (!removed) return
    this.report.links++
    // The walk may have passed them by already, when this manifest still held them.
    for (const child of children) await this.#collectLink(repository, child, true)
  }

  /** Whether the records hold it no more, or had no name for it for long enough. */
  async #isGone(repository: Repository, digest: Digest, isOrphan: boolean): Promise<boolean> {
    const { isLive, untagging } = this.#options
    if (!(await isLive(repository, digest))) return true
    if (untagging === undefined) return false
    const { tables, leases } = this.#context
    const key = linkKey(digest, repository)
    const found = await untagging.find(repository, digest)
    if (found === undefined) {
      if (await tables.untagged.has(key)) await unlessFull(() => tables.untagged.del(key))
      return false
    }
    const sinceMs = await this.#untaggedSince(key, found.statedMs)
    // What an index listed was without a tag for as long as that stood.
    if (!isOrphan && leases.now() - sinceMs < untagging.keepMs) return false
    if (leases.isYoung(Number(tables.links.getSync(key)), untagging.keepMs)) return false
    return found.subject === undefined || !(await this.#isLinked(repository, found.subject))
  }

  /** Begins now where it was not seen yet, by a dry run either, or was stated since. */
  async #untaggedSince(key: string, statedMs: number): Promise<number> {
    const { tables, leases } = this.#context
    const row = await tables.untagged.get(key)
    if (row?.statedMs === statedMs) return row.sinceMs
    const sinceMs = leases.now()
    await unlessFull(() => tables.untagged.put(key, { sinceMs, statedMs }))
    return sinceMs
  }

  async #isLinked(repository: Repository, digest: Digest): Promise<boolean> {
    const key = linkKey(digest, repository)
    return this.#context.tables.links.getSync(key) !== undefined && !(await this.#isDoomed(`l${key}`))
  }

  async #isIdle(repository: Repository, digest: Digest): Promise<boolean> {
    const { tables, leases } = this.#context
    const key = linkKey(digest, repository)
    const lease = tables.links.getSync(key)
    if (lease === undefined || leases.isYoung(Number(lease), this.#options.graceMs)) return false
    return !(await this.#isDoomed(`l${key}`)) && !(await this.#isReferred(digest, repository))
  }

  async #collectBlob(digest: Digest): Promise<void> {
    const size = await this.#unusedBlobSize(digest)
    if (size === undefined) return
    const removed = await this.#context.claims.remove(digest, async () => {
      const sizeNow = await this.#unusedBlobSize(digest)
      if (sizeNow !== undefined && !this.#options.dryRun) {
        await this.#files.remove(digest)
        // Sums that stay are right for whoever brings the blob again.
        await unlessFull(() => this.#context.tables.sums.del(digest))
        await unlessFull(() => this.#context.tables.uses.del(digest))
      }
      return sizeNow
    })
    if (removed === undefined) return
    this.report.blobs++
    this.report.bytes += removed
  }

  /** The file's time is the lease of a blob that was written and not linked yet. */
  async #unusedBlobSize(digest: Digest): Promise<number | undefined> {
    if (await this.#isNeeded(digest)) return undefined
    const file = await this.#files.stat(digest)
    if (file === undefined || this.#context.leases.isYoung(file.mtimeMs, this.#options.graceMs))
      return undefined
    return file.size
  }

  async #collectManifest(digest: Digest): Promise<void> {
    const { manifests } = this.#context.tables
    if (await this.#isNeeded(digest)) return
    const removed = await this.#context.claims.remove(digest, async () => {
      if (await this.#isNeeded(digest)) return undefined
      const bytes = await manifests.get(digest)
      if (bytes !== undefined && !this.#options.dryRun) await manifests.del(digest)
      return bytes?.length
    })
    if (removed === undefined) return
    this.report.manifests++
    this.report.bytes += removed
  }

  async #isNeeded(digest: Digest): Promise<boolean> {
    const { links } = this.#context.tables
    if (!this.#options.dryRun) return (await hasWithin(links, digest)) || (await this.#isReferred(digest))
    for await (const key of links.keys(within(digest))) if (!(await this.#isDoomed(`l${key}`))) return true
    return await this.#isReferred(digest)
  }

  async #isReferred(digest: Digest, ...repository: Repository[]): Promise<boolean> {
    const { references } = this.#context.tables
    if (!this.#options.dryRun) return await hasWithin(references, digest, ...repository)
    for await (const key of references.keys(within(digest, ...repository)))
      if (!(await this.#isDoomed(`r${key}`))) return true
    return false
  }

  async #isDoomed(key: string): Promise<boolean> {
    return this.#options.dryRun === true && (await this.#context.tables.doomed.has(key))
  }

  async #doom(repository: Repository, digest: Digest, children: Digest[]): Promise<void> {
    const batch = this.#context.tables.doomed.batch()
    batch.put(`l${linkKey(digest, repository)}`, '')
    for (const child of children) batch.put(`r${referenceKey(child, repository, digest)}`, '')
    await batch.write()
  }
}
