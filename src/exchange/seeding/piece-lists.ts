/** The piece lists that this node can give: kept ones, and its own for what it holds whole, hashed and signed when first asked for. */
import { type Logger, SingleFlight } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { BadSignatureError, type Identity, MalformedError, type Verifier } from '../../wire/wire.ts'
import { openLists, packLists } from '../protocol/list-pack.ts'
import type { PieceHashes } from '../protocol/piece-hashes.ts'
import { type SignedPieceList, signPieceList } from '../protocol/piece-list.ts'

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
  #hasFoundUnreadable = false
  readonly #computing = new SingleFlight<SignedPieceList>()

  constructor(options: PieceListsOptions) {
    this.#options = options
  }

  /** What was kept for the digest, if it is still readable: one list of the whole, or sections that follow on each other. */
  async find(digest: Digest, size?: number): Promise<SignedPieceList[] | undefined> {
    const bytes = await this.#options.storage.get(digest)
    if (bytes === undefined) return undefined
    try {
      return await openLists(
        bytes,
        { digest, ...(size === undefined ? {} : { size }) },
        this.#options.verifier,
      )
    } catch (error) {
      if (!(error instanceof MalformedError || error instanceof BadSignatureError)) throw error
      const { logger } = this.#options
      const message = 'kept piece lists that are not readable, or of another format, are made anew'
      if (!this.#hasFoundUnreadable) logger.info({ err: error, digest }, message)
      else logger.debug({ err: error, digest }, message)
      this.#hasFoundUnreadable = true
      return undefined
    }
  }

  /** For a blob that is in the store. */
  async get(digest: Digest, size: number): Promise<SignedPieceList> {
    return await this.#computing.run(digest, async () => {
      const [kept] = (await this.find(digest, size)) ?? []
      // One that another signed is passed on with a part. For the whole, this node vouches.
      if (kept?.author === this.#options.identity.peerId && kept.after === undefined) return kept
      return await this.vouch(digest, size, await this.#options.hashPieces(digest))
    })
  }

  /** Signs and keeps the hashes of a blob that is proven. */
  async vouch(digest: Digest, size: number, hashes: Uint8Array): Promise<SignedPieceList> {
    const list = signPieceList({ digest, size, hashes }, this.#options.identity)
    await this.keep(digest, [list])
    return list
  }

  async keep(digest: Digest, lists: readonly SignedPieceList[]): Promise<void> {
    await this.#options.storage.put(digest, packLists(lists, Number.POSITIVE_INFINITY))
  }

  /** Those that tell of the pieces from `from` on of a part that is growing; signs what came here from the origin. */
  growing(list: PieceHashes, from: number): SignedPieceList[] {
    list.seal(this.#options.identity)
    return list.listsFrom(from)
  }

  async drop(digest: Digest): Promise<void> {
    await this.#options.storage.delete(digest)
  }
}
