/** The piece lists that this node can give: kept ones, and its own for what it holds whole, hashed and signed when first asked for. */
import { type Clock, type Logger, Semaphore, untilOrAfter } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { BadSignatureError, type Identity, MalformedError, type Verifier } from '../../wire/wire.ts'
import { openLists, packLists } from '../protocol/list-pack.ts'
import type { PieceHashes } from '../protocol/piece-hashes.ts'
import { type SignedPieceList, signPieceList } from '../protocol/piece-list.ts'
import { type HashPieces, ListMaking } from './list-making.ts'

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
  hashPieces: HashPieces
  clock: Clock
  logger: Logger
  /** No further piece is hashed once it aborts. */
  signal: AbortSignal
}

/** Who has the beginning is told more as often as this at most. */
const togetherMs = 50

export class PieceLists {
  readonly #options: PieceListsOptions
  #hasFoundUnreadable = false
  readonly #making = new Map<Digest, ListMaking>()
  /** One at a time, each blob in its turn. */
  readonly #turns = new Semaphore(1)

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
        { digest, most: Number.POSITIVE_INFINITY, ...(size === undefined ? {} : { size }) },
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

  /** This node's own of a blob that is in the store, if it was made. */
  async kept(digest: Digest, size: number): Promise<SignedPieceList | undefined> {
    const [kept] = (await this.find(digest, size)) ?? []
    // One that another signed is passed on with a part. For the whole, this node vouches.
    return kept?.author === this.#options.identity.peerId && kept.after === undefined ? kept : undefined
  }

  /** For a blob that is in the store. */
  async get(digest: Digest, size: number): Promise<SignedPieceList> {
    const making = this.follow(digest, size)
    try {
      return await making.whole
    } finally {
      making.leave()
    }
  }

  /** The list of a blob that is in the store, made as long as somebody follows that: who does has to `leave` it. */
  follow(digest: Digest, size: number): ListMaking {
    return (this.#making.get(digest) ?? this.#make(digest, size)).enter()
  }

  /**
   * The whole list, or, while that is being made, a section of what is hashed by now from the piece `from` on, so that nobody
   * waits for the end of a large blob to have its beginning.
   */
  async listFrom(making: ListMaking, from: number): Promise<SignedPieceList> {
    if (from > 0) await untilOrAfter(making.settled, togetherMs, this.#options)
    const section = await making.beyond(from)
    if (section === undefined) return await making.whole
    return signPieceList({ ...making.blob, ...section }, this.#options.identity)
  }

  /** Signs and keeps the hashes of a blob that is proven. */
  async vouch(digest: Digest, size: number, hashes: Uint8Array): Promise<SignedPieceList> {
    const list = signPieceList({ digest, size, hashes }, this.#options.identity)
    await this.keep(digest, [list])
    return list
  }

  async keep(digest: Digest, lists: readonly SignedPieceList[]): Promise<void> {
    await this.#options.storage.put(
      digest,
      packLists(lists, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
    )
  }

  /** Those that tell of the pieces from `from` on of a part that is growing; signs what came here from the origin. */
  growing(list: PieceHashes, from: number): SignedPieceList[] {
    list.seal(this.#options.identity)
    return list.listsFrom(from)
  }

  async drop(digest: Digest): Promise<void> {
    this.#making.get(digest)?.stop()
    await this.#options.storage.delete(digest)
  }

  #make(digest: Digest, size: number): ListMaking {
    const { hashPieces, signal } = this.#options
    const making = new ListMaking({
      digest,
      size,
      hashPieces: (hashed, range) => this.#turns.run(async () => await hashPieces(hashed, range)),
      signal,
      find: () => this.kept(digest, size),
      vouch: (hashes) => this.vouch(digest, size, hashes),
      onEnd: () => this.#making.delete(digest),
    })
    this.#making.set(digest, making)
    return making
  }
}
