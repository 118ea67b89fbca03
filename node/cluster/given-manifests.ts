/** Manifests as members are given them: as if they were blobs, at a cost that follows from what is sent and not from how it is asked for. */
import { createHash } from 'node:crypto'
import { SingleFlight } from '../../src/base/base.ts'
import { type ExchangeOptions, layoutOf } from '../../src/exchange/exchange.ts'
import type { Digest } from '../../src/oci/oci.ts'
import type { Manifests } from '../../src/store/store.ts'

export interface GivenManifests extends NonNullable<ExchangeOptions['manifests']> {
  /** The SHA-256 of each piece; `undefined` when it is not here. */
  hashPieces(digest: Digest): Promise<Uint8Array | undefined>
}

/** A want asks for no more than the size: two megabytes of memory keep it from reading and hashing up to four each time. */
const maxSizes = 16_384
/** Pieces are asked for one by one, and each read of the database is of the whole, which is hashed. */
const maxRecentBytes = 8 * 1024 * 1024

export function givenManifests(manifests: Pick<Manifests, 'get'>): GivenManifests {
  const sizes = new Map<Digest, number>()
  const recent = new Map<Digest, Uint8Array>()
  const reads = new SingleFlight<Uint8Array | undefined>()
  let recentBytes = 0

  const forget = (digest: Digest): void => {
    recentBytes -= recent.get(digest)?.length ?? 0
    recent.delete(digest)
  }

  const remember = (digest: Digest, bytes: Uint8Array): void => {
    if (!sizes.has(digest)) sizes.set(digest, bytes.length)
    const [first] = sizes.keys()
    if (sizes.size > maxSizes && first !== undefined) sizes.delete(first)
    forget(digest)
    recent.set(digest, bytes)
    recentBytes += bytes.length
    for (const oldest of recent.keys()) {
      if (recentBytes <= maxRecentBytes || oldest === digest) return
      forget(oldest)
    }
  }

  const bytesOf = async (digest: Digest): Promise<Uint8Array | undefined> => {
    const known = recent.get(digest)
    if (known !== undefined) return known
    return await reads.run(digest, async () => {
      const bytes = await manifests.get(digest)
      if (bytes === undefined) sizes.delete(digest)
      else remember(digest, bytes)
      return bytes
    })
  }

  return {
    // Who may read it was looked up, and that ends when the manifest goes; should it have rotted, opening it says so.
    async stat(digest) {
      const size = sizes.get(digest) ?? (await bytesOf(digest))?.length
      return size === undefined ? undefined : { size }
    },
    async open(digest) {
      const size = (await bytesOf(digest))?.length
      if (size === undefined) return undefined
      return {
        size,
        async *chunks(start, end) {
          // Read anew where it is not among the recent ones, so that what waits for members takes no memory.
          const bytes = await bytesOf(digest)
          if (bytes === undefined) throw new Error(`${digest} is not here any more`)
          yield bytes.slice(start, end)
        },
        [Symbol.asyncDispose]: async () => undefined,
      }
    },
    async hashPieces(digest) {
      const bytes = await bytesOf(digest)
      if (bytes === undefined) return undefined
      const { pieceBytes } = layoutOf(bytes.length)
      const hashes: Uint8Array[] = []
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        hashes.push(
          createHash('sha256')
            .update(bytes.subarray(at, at + pieceBytes))
            .digest(),
        )
      }
      return Buffer.concat(hashes)
    },
  }
}
