/** The maps that a memory store consists of. What they answer and change happens within one turn; what is held stays beyond it. */
import type { Clock } from '../../base/base.ts'
import { algorithmOf, type Digest, digestBytes, OciError, type Repository } from '../../oci/oci.ts'
import type { UntaggedRow } from '../database/database.ts'
import { BlobMissingError } from '../errors.ts'
import { Claims } from '../links/claims.ts'
import type { ManifestWrite } from '../store.ts'

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
  readonly links = new Map<Repository, Map<Digest, number>>()
  /** Repository → parent → what it refers to. */
  readonly children = new Map<Repository, Map<Digest, Digest[]>>()
  readonly untagged = new Map<Repository, Map<Digest, UntaggedRow>>()

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
    rows(this.links, repository).set(digest, this.clock.now())
  }

  /** Renews the lease of the link that it finds. */
  hasLink(repository: Repository, digest: Digest): boolean {
    const found = this.links.get(repository)?.has(digest) ?? false
    if (found) this.link(repository, digest)
    return found
  }

  anyRepository(digest: Digest): Repository | undefined {
    return [...this.links.keys()].sort().find((repository) => this.hasLink(repository, digest))
  }

  unlinkBlob(repository: Repository, digest: Digest): boolean {
    return this.children.get(repository)?.has(digest) ? false : this.unlink(repository, digest)
  }

  unlink(repository: Repository, digest: Digest): boolean {
    this.children.get(repository)?.delete(digest)
    this.untagged.get(repository)?.delete(digest)
    return this.links.get(repository)?.delete(digest) ?? false
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
    const links = rows(this.links, repository)
    const missing = new Set(required.filter((wanted) => !links.has(wanted) || !this.#holds(wanted)))
    if (missing.size > 0) throw new BlobMissingError([...missing])
    this.manifests.set(digest, bytes)
    rows(this.children, repository).set(digest, [...references])
    this.link(repository, digest)
  }

  #holds(digest: Digest): boolean {
    return this.blobs.has(digest) || this.manifests.has(digest)
  }
}

export function rows<V>(table: Map<Repository, Map<Digest, V>>, repository: Repository): Map<Digest, V> {
  const found = table.get(repository)
  if (found !== undefined) return found
  const made = new Map<Digest, V>()
  table.set(repository, made)
  return made
}
