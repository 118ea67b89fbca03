/** Manifests as LevelDB values, written together with their link and references. */
import { algorithmOf, type Digest, digestBytes, OciError, type Repository } from '../../oci/oci.ts'
import type { CheckedBlobs } from '../blobs/checked-blobs.ts'
import type { Verifier } from '../blobs/verifier.ts'
import { linkKey, referenceKey, shardRanges, within } from '../database/database.ts'
import { BlobMissingError } from '../errors.ts'
import type { DiskSpace } from '../files/disk-space.ts'
import type { Manifests, ManifestWrite } from '../store.ts'
import { removeLink, type TableContext } from './link-table.ts'

/** How many files are looked up at once when a manifest names many. */
const statsAtOnce = 16

export class ManifestTable implements Manifests {
  readonly #context: TableContext
  readonly #space: DiskSpace
  readonly #blobs: Pick<CheckedBlobs, 'seems'>
  readonly #verifier: Pick<Verifier, 'checkManifest'>

  constructor(
    context: TableContext,
    space: DiskSpace,
    {
      checked,
      verifier,
    }: { checked: Pick<CheckedBlobs, 'seems'>; verifier: Pick<Verifier, 'checkManifest'> },
  ) {
    this.#context = context
    this.#space = space
    this.#blobs = checked
    this.#verifier = verifier
  }

  async put(manifest: ManifestWrite): Promise<void> {
    const { repository, digest, bytes, references, required } = manifest
    const actual = digestBytes(bytes, algorithmOf(digest))
    if (actual !== digest)
      throw new OciError('DIGEST_INVALID', `the manifest hashes to ${actual}, not to ${digest}`)
    await this.#space.take(bytes.length)
    try {
      // Each replaces the references that it finds.
      await this.#context.turns.run(linkKey(digest, repository), () =>
        // While these are claimed the collector takes none of them, so what is found below stays until it is referred to.
        this.#context.claims.write([digest, ...references, ...required], async () => {
          const missing = await this.#findMissing(repository, required)
          if (missing.length > 0) throw new BlobMissingError(missing)
          await this.#write(manifest)
        }),
      )
    } finally {
      this.#space.settle(bytes.length)
    }
  }

  async get(digest: Digest): Promise<Uint8Array | undefined> {
    const bytes = await this.#context.tables.manifests.get(digest)
    if (bytes === undefined || digestBytes(bytes, algorithmOf(digest)) === digest) return bytes
    // LevelDB reads without looking at its checksums, so that a disk's mistakes come through.
    await this.#verifier.checkManifest(digest, bytes)
    return undefined
  }

  async remove(repository: Repository, digest: Digest, isLive: () => Promise<boolean>): Promise<boolean> {
    const removed = await this.#context.turns.run(linkKey(digest, repository), () =>
      this.#context.claims.remove(digest, async () =>
        (await isLive()) ? false : await removeLink(this.#context, repository, digest, { sync: true }),
      ),
    )
    return removed ?? false
  }

  async *list(): AsyncGenerator<Digest> {
    for await (const key of this.#context.tables.manifests.keys()) yield key as Digest
  }

  /** Those of which the hash begins with these two digits. */
  async *listShard(shard: string): AsyncGenerator<Digest> {
    for (const range of shardRanges(shard))
      for await (const key of this.#context.tables.manifests.keys(range)) yield key as Digest
  }

  async *referringTo(repository: Repository, digest: Digest): AsyncGenerator<Digest> {
    for await (const key of this.#context.tables.references.keys(within(digest, repository))) {
      yield key.slice(key.lastIndexOf('\0') + 1) as Digest
    }
  }

  async #write({ repository, digest, bytes, references }: ManifestWrite): Promise<void> {
    const { database, tables, leases } = this.#context
    const key = linkKey(digest, repository)
    const children = [...new Set(references)]
    const before = (await tables.children.get(key)) ?? []
    const batch = database.batch()
    for (const child of before)
      batch.del(referenceKey(child, repository, digest), { sublevel: tables.references })
    for (const child of children)
      batch.put(referenceKey(child, repository, digest), '', { sublevel: tables.references })
    batch.put(key, children, { sublevel: tables.children, valueEncoding: 'json' })
    batch.put(key, String(leases.now()), { sublevel: tables.links })
    batch.put(digest, bytes, { sublevel: tables.manifests, valueEncoding: 'view' })
    await batch.write({ sync: true })
  }

  async #findMissing(repository: Repository, required: Digest[]): Promise<Digest[]> {
    const { tables } = this.#context
    const wanted = [...new Set(required)]
    const links = await tables.links.getMany(wanted.map((digest) => linkKey(digest, repository)))
    const missing: Digest[] = []
    for (let start = 0; start < wanted.length; start += statsAtOnce) {
      const some = wanted.slice(start, start + statsAtOnce)
      const here = await Promise.all(
        some.map(async (digest, index) => links[start + index] !== undefined && (await this.#holds(digest))),
      )
      missing.push(...some.filter((_, index) => !here[index]))
    }
    return missing
  }

  async #holds(digest: Digest): Promise<boolean> {
    return (await this.#blobs.seems(digest)) || (await this.#context.tables.manifests.has(digest))
  }
}
