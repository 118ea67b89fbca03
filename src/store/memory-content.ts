/** The maps that a memory store consists of. What they answer and change happens within one turn; what is held stays beyond it. */
import type { Clock } from '../base/base.ts'
import { algorithmOf, type Digest, digestBytes, OciError, type Repository } from '../oci/oci.ts'
import { Claims } from './claims.ts'
import { BlobMissingError } from './errors.ts'
import type { CollectOptions, CollectReport, ManifestWrite } from './store.ts'

export interface Item {
  bytes: Uint8Array
  storedMs: number
}

export class MemoryContent {
  readonly clock: Clock
  readonly claims = new Claims()
  readonly blobs = new Map<Digest, Item>()
  readonly manifests = new Map<Digest, Uint8Array>()
  /** Repository → digest → lease. */
  readonly #links = new Map<Repository, Map<Digest, number>>()
  /** Repository → parent → what it refers to. */
  readonly #children = new Map<Repository, Map<Digest, Digest[]>>()

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** Throws `DIGEST_INVALID`. */
  addBlob(digest: Digest, bytes: Uint8Array): void {
    const actual = digestBytes(bytes, algorithmOf(digest))
    if (actual !== digest)
      throw new OciError('DIGEST_INVALID', `the ${bytes.length} bytes hash to ${actual}, not to ${digest}`)
    this.blobs.set(digest, { bytes, storedMs: this.clock.now() })
  }

  link(repository: Repository, digest: Digest): void {
    rows(this.#links, repository).set(digest, this.clock.now())
  }

  /** Renews the lease of the link that it finds. */
  hasLink(repository: Repository, digest: Digest): boolean {
    const found = this.#links.get(repository)?.has(digest) ?? false
    if (found) this.link(repository, digest)
    return found
  }

  anyRepository(digest: Digest): Repository | undefined {
    return [...this.#links.keys()].sort().find((repository) => this.hasLink(repository, digest))
  }

  unlink(repository: Repository, digest: Digest): boolean {
    this.#children.get(repository)?.delete(digest)
    return this.#links.get(repository)?.delete(digest) ?? false
  }

  async removeManifest(
    repository: Repository,
    digest: Digest,
    isLive: () => Promise<boolean>,
  ): Promise<boolean> {
    const removed = await this.claims.remove(digest, async () =>
      (await isLive()) ? false : this.unlink(repository, digest),
    )
    return removed ?? false
  }

  putManifest({ repository, digest, bytes, references, required }: ManifestWrite): void {
    const actual = digestBytes(bytes, algorithmOf(digest))
    if (actual !== digest)
      throw new OciError('DIGEST_INVALID', `the manifest hashes to ${actual}, not to ${digest}`)
    const links = rows(this.#links, repository)
    const missing = new Set(required.filter((wanted) => !links.has(wanted) || !this.#holds(wanted)))
    if (missing.size > 0) throw new BlobMissingError([...missing])
    this.manifests.set(digest, bytes)
    rows(this.#children, repository).set(digest, [...references])
    this.link(repository, digest)
  }

  async collect({ isLive, graceMs, dryRun, signal }: CollectOptions): Promise<CollectReport> {
    const report: CollectReport = { blobs: 0, manifests: 0, links: 0, bytes: 0 }
    const doomed = new Set<string>()
    const isOld = (leaseMs: number): boolean => Math.abs(this.clock.now() - leaseMs) >= graceMs
    const key = (repository: Repository, digest: Digest): string => `${digest} ${repository}`
    const isReferred = (digest: Digest, only?: Repository): boolean =>
      [...this.#children].some(
        ([repository, parents]) =>
          (only === undefined || only === repository) &&
          [...parents].some(
            ([parent, children]) => children.includes(digest) && !doomed.has(key(repository, parent)),
          ),
      )
    const isIdle = (repository: Repository, digest: Digest): boolean => {
      const lease = this.#links.get(repository)?.get(digest)
      if (lease === undefined || doomed.has(key(repository, digest))) return false
      return isOld(lease) && !isReferred(digest, repository)
    }
    const isNeeded = (digest: Digest): boolean =>
      isReferred(digest) ||
      [...this.#links].some(([name, links]) => links.has(digest) && !doomed.has(key(name, digest)))
    const collectLink = async (repository: Repository, digest: Digest): Promise<void> => {
      signal?.throwIfAborted()
      if (!isIdle(repository, digest) || (await isLive(repository, digest))) return
      const children = this.#children.get(repository)?.get(digest) ?? []
      const removed = await this.claims.remove(digest, async () => {
        if (!isIdle(repository, digest) || (await isLive(repository, digest))) return false
        if (dryRun) doomed.add(key(repository, digest))
        else this.unlink(repository, digest)
        return true
      })
      if (!removed) return
      report.links++
      for (const child of children) await collectLink(repository, child)
    }
    for (const [repository, links] of [...this.#links])
      for (const digest of [...links.keys()]) await collectLink(repository, digest)
    for (const [digest, { bytes, storedMs }] of [...this.blobs]) {
      const removed = await this.claims.remove(digest, async () => {
        if (isNeeded(digest) || !isOld(storedMs)) return false
        if (!dryRun) this.blobs.delete(digest)
        return true
      })
      if (!removed) continue
      report.blobs++
      report.bytes += bytes.length
    }
    for (const [digest, bytes] of [...this.manifests]) {
      const removed = await this.claims.remove(digest, async () => {
        if (isNeeded(digest)) return false
        if (!dryRun) this.manifests.delete(digest)
        return true
      })
      if (!removed) continue
      report.manifests++
      report.bytes += bytes.length
    }
    return report
  }

  #holds(digest: Digest): boolean {
    return this.blobs.has(digest) || this.manifests.has(digest)
  }
}

function rows<V>(table: Map<Repository, Map<Digest, V>>, repository: Repository): Map<Digest, V> {
  const found = table.get(repository)
  if (found !== undefined) return found
  const made = new Map<Digest, V>()
  table.set(repository, made)
  return made
}
