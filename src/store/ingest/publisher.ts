/** The last step of every way in: prove the bytes, then give the file its digest's name. */
import { randomUUID } from 'node:crypto'
import {
  algorithmOf,
  type Digest,
  type DigestAlgorithm,
  digestBytes,
  hexOf,
  OciError,
} from '../../oci/oci.ts'
import type { SumTable } from '../blobs/sum-table.ts'
import type { BlobFiles } from '../files/blob-files.ts'
import { type BlobSums, BlockSums } from '../files/block-sums.ts'
import { asStoreError, type DiskSpace } from '../files/disk-space.ts'
import type { Claims } from '../links/claims.ts'
import type { Leases } from '../links/leases.ts'
import type { BodyOptions } from '../store.ts'
import { pump } from './body.ts'
import type { CopyOptions, Ingest } from './ingest.ts'
import type { IngestPool } from './ingest-pool.ts'

export interface PublisherOptions {
  files: BlobFiles
  pool: IngestPool
  claims: Claims
  leases: Leases
  space: DiskSpace
  sums: SumTable
}

export class Publisher {
  readonly files: BlobFiles
  readonly space: DiskSpace
  readonly #options: PublisherOptions

  constructor(options: PublisherOptions) {
    this.files = options.files
    this.space = options.space
    this.#options = options
  }

  async open(id: string, algorithm: DigestAlgorithm): Promise<Ingest> {
    return await this.#options.pool.open(this.files.uploadPath(id), algorithm)
  }

  /** Runs `commit` once the blob is durable, before the collector can see it. Throws `DIGEST_INVALID`; the file is the caller's to remove. */
  async publish(
    ingest: Ingest,
    id: string,
    digest: Digest,
    commit: () => Promise<void>,
  ): Promise<{ size: number }> {
    return await this.#options.claims.write([digest], async () => {
      const { hex, size, sums } = await ingest.finish(algorithmOf(digest), this.#options.leases.now())
      if (hex !== hexOf(digest)) throw wrongDigest(size, `${algorithmOf(digest)}:${hex}`, digest)
      await this.#options.sums.put(digest, { size, sums })
      await this.files.publish(id, digest)
      await commit()
      return { size }
    })
  }

  /**
   * A small blob that is in memory: proven here, and made a file by one call of a thread, together with those that come at the same
   * time. `commit` stores its sums with its link. Otherwise as `publish`.
   */
  async publishSmall(
    id: string,
    bytes: Uint8Array,
    digest: Digest,
    commit: (sums: BlobSums) => Promise<void>,
  ): Promise<{ size: number }> {
    const { claims, leases, pool } = this.#options
    const size = bytes.length
    const actual = digestBytes(bytes, algorithmOf(digest))
    if (actual !== digest) throw wrongDigest(size, actual, digest)
    const blocks = new BlockSums()
    blocks.update(bytes)
    await this.space.take(size)
    try {
      return await claims.write([digest], async () => {
        const target = await this.files.placeOf(digest)
        const path = this.files.uploadPath(id)
        this.files.noteReplaced(await pool.put({ path, target, bytes, timeMs: leases.now() }))
        await commit({ size, sums: blocks.finish() })
        return { size }
      })
    } catch (error) {
      // A thread that died may have left it.
      await this.files.removeUpload(id)
      throw asStoreError(error)
    } finally {
      this.space.settle(size)
    }
  }

  /** A whole blob in one go, without a session and without a link. */
  async write(
    digest: Digest,
    body: AsyncIterable<Uint8Array>,
    maxBytes: number,
    { transfer = false, signal }: BodyOptions & { signal: AbortSignal },
  ): Promise<{ size: number }> {
    return await this.#whole(digest, (ingest) => pump(ingest, body, { maxBytes, transfer, signal }))
  }

  /** The same of a file of this host that is open. */
  async copy(digest: Digest, from: number, size: number, options: CopyOptions): Promise<{ size: number }> {
    return await this.#whole(digest, async (ingest) => {
      ingest.begin()
      try {
        await ingest.copy(from, size, options)
      } finally {
        await ingest.end()
      }
    })
  }

  async #whole(digest: Digest, fill: (ingest: Ingest) => Promise<void>): Promise<{ size: number }> {
    const id = randomUUID()
    const ingest = await this.open(id, algorithmOf(digest))
    try {
      await fill(ingest)
      return await this.publish(ingest, id, digest, async () => undefined)
    } catch (error) {
      await ingest.close()
      await this.files.removeUpload(id)
      throw asStoreError(error)
    }
  }
}

function wrongDigest(size: number, actual: string, digest: Digest): OciError {
  return new OciError('DIGEST_INVALID', `the ${size} bytes hash to ${actual}, not to ${digest}`)
}
