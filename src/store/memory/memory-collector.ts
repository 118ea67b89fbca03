/** The collector's rules over a memory store, without a thought for memory or speed. */
import type { Digest, Repository } from '../../oci/oci.ts'
import type { CollectOptions, CollectReport } from '../store.ts'
import { type MemoryContent, rows } from './memory-content.ts'

export async function collectMemory(content: MemoryContent, options: CollectOptions): Promise<CollectReport> {
  const collection = new MemoryCollection(content, options)
  await collection.run()
  return collection.report
}

class MemoryCollection {
  readonly report: CollectReport = { blobs: 0, manifests: 0, links: 0, bytes: 0 }
  readonly #content: MemoryContent
  readonly #options: CollectOptions
  /** Links that a dry run would have removed. */
  readonly #doomed = new Set<string>()

  constructor(content: MemoryContent, options: CollectOptions) {
    this.#content = content
    this.#options = options
  }

  async run(): Promise<void> {
    const { links, blobs, manifests } = this.#content
    for (let before = -1; before < this.report.links; ) {
      before = this.report.links
      for (const [repository, rows] of [...links])
        for (const digest of [...rows.keys()]) await this.#collectLink(repository, digest, false)
    }
    for (const [digest, { bytes, storedMs }] of [...blobs]) {
      if (!(await this.#take(blobs, digest, () => this.#isOld(storedMs)))) continue
      this.report.blobs++
      this.report.bytes += bytes.length
    }
    for (const [digest, bytes] of [...manifests]) {
      if (!(await this.#take(manifests, digest, () => true))) continue
      this.report.manifests++
      this.report.bytes += bytes.length
    }
  }

  async #collectLink(repository: Repository, digest: Digest, isOrphan: boolean): Promise<void> {
    this.#options.signal?.throwIfAborted()
    const mayGo = async (): Promise<boolean> =>
      this.#isIdle(repository, digest) && (await this.#isGone(repository, digest, isOrphan))
    if (!(await mayGo())) return
    const children = this.#content.children.get(repository)?.get(digest) ?? []
    const removed = await this.#content.claims.remove(digest, async () => {
      if (!(await mayGo())) return false
      if (this.#options.dryRun) this.#doomed.add(keyOf(repository, digest))
      else this.#content.unlink(repository, digest)
      return true
    })
    if (!removed) return
    this.report.links++
    for (const child of children) await this.#collectLink(repository, child, true)
  }

  /** Only a real run takes it. */
  async #take(table: Map<Digest, unknown>, digest: Digest, mayGo: () => boolean): Promise<boolean> {
    const removed = await this.#content.claims.remove(digest, async () => {
      if (this.#isNeeded(digest) || !mayGo()) return false
      if (!this.#options.dryRun) table.delete(digest)
      return true
    })
    return removed ?? false
  }

  async #isGone(repository: Repository, digest: Digest, isOrphan: boolean): Promise<boolean> {
    const { isLive, untagging } = this.#options
    if (!(await isLive(repository, digest))) return true
    if (untagging === undefined) return false
    const seen = rows(this.#content.untagged, repository)
    const found = await untagging.find(repository, digest)
    if (found === undefined) {
      seen.delete(digest)
      return false
    }
    const nowMs = this.#content.clock.now()
    const before = seen.get(digest)
    const row = before?.statedMs === found.statedMs ? before : { sinceMs: nowMs, statedMs: found.statedMs }
    seen.set(digest, row)
    const { keepMs } = untagging
    if (!isOrphan && nowMs - row.sinceMs < keepMs) return false
    if (nowMs - (this.#lease(repository, digest) ?? 0) < keepMs) return false
    return found.subject === undefined || this.#lease(repository, found.subject) === undefined
  }

  #isIdle(repository: Repository, digest: Digest): boolean {
    const lease = this.#lease(repository, digest)
    return lease !== undefined && this.#isOld(lease) && !this.#isReferred(digest, repository)
  }

  /** Of a link that is there and not doomed. */
  #lease(repository: Repository, digest: Digest): number | undefined {
    if (this.#doomed.has(keyOf(repository, digest))) return undefined
    return this.#content.links.get(repository)?.get(digest)
  }

  #isOld(leaseMs: number): boolean {
    return this.#content.clock.now() - leaseMs >= this.#options.graceMs
  }

  #isNeeded(digest: Digest): boolean {
    return (
      this.#isReferred(digest) ||
      [...this.#content.links.keys()].some((repository) => this.#lease(repository, digest) !== undefined)
    )
  }

  #isReferred(digest: Digest, only?: Repository): boolean {
    return [...this.#content.children].some(
      ([repository, parents]) =>
        (only === undefined || only === repository) &&
        [...parents].some(
          ([parent, children]) => children.includes(digest) && !this.#doomed.has(keyOf(repository, parent)),
        ),
    )
  }
}

function keyOf(repository: Repository, digest: Digest): string {
  return `${digest} ${repository}`
}
