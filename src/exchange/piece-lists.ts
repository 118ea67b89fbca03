/** The piece lists that this node can give: kept ones, and its own for what it holds whole, hashed and signed when first asked for. */
import { type Logger, SingleFlight } from '../base/base.ts'
import type { Digest } from '../oci/oci.ts'
import { BadSignatureError, type Identity, MalformedError, type Verifier } from '../wire/wire.ts'
import { openPieceList, type SignedPieceList, signPieceList } from './piece-list.ts'

/** Where signed lists are kept over a restart. */
export interface PieceListStorage {
  get(digest: Digest): Promise<Uint8Array | undefined>
  put(digest: Digest, list: Uint8Array): Promise<void>
  delete(digest: Digest): Promise<void>
}

export interface PieceListsOptions {
  identity: Identity
  storage: PieceListStorage
  verifier: Verifier
  hashPieces(digest: Digest): Promise<Uint8Array>
  logger: Logger
}

export class PieceLists {
  readonly #options: PieceListsOptions
  readonly #computing = new SingleFlight<SignedPieceList>()

  constructor(options: PieceListsOptions) {
    this.#options = options
  }

  /** What was kept for the digest, if it is still readable. */
  async find(digest: Digest, size?: number): Promise<SignedPieceList | undefined> {
    const bytes = await this.#options.storage.get(digest)
    if (bytes === undefined) return undefined
    try {
      return await openPieceList(
        bytes,
        { digest, ...(size === undefined ? {} : { size }) },
        this.#options.verifier,
      )
    } catch (error) {
      if (!(error instanceof MalformedError || error instanceof BadSignatureError)) throw error
      this.#options.logger.warn({ err: error, digest }, 'a kept piece list is not readable and is made anew')
      return undefined
    }
  }

  /** For a blob that is in the store. */
  async get(digest: Digest, size: number): Promise<SignedPieceList> {
    return await this.#computing.run(digest, async () => {
      const kept = await this.find(digest, size)
      // One that another signed is passed on with a part. For the whole, this node vouches.
      if (kept?.author === this.#options.identity.peerId) return kept
      return await this.vouch(digest, size, await this.#options.hashPieces(digest))
    })
  }

  /** Signs and keeps the hashes of a blob that is proven. */
  async vouch(digest: Digest, size: number, hashes: Uint8Array): Promise<SignedPieceList> {
    const list = signPieceList({ digest, size, hashes }, this.#options.identity)
    await this.keep(list)
    return list
  }

  async keep(list: SignedPieceList): Promise<void> {
    await this.#options.storage.put(list.digest, list.bytes)
  }

  async drop(digest: Digest): Promise<void> {
    await this.#options.storage.delete(digest)
  }
}
