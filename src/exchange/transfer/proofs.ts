/** What downloads leave behind: the list of what has come, kept so that a restart can go on, and the blob once its whole is proven. */
import type { Clock, Logger } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import type { Partials } from '../../store/store.ts'
import { BlobUnprovenError } from '../errors.ts'
import type { PieceLists } from '../seeding/piece-lists.ts'
import type { Attempt } from './attempt.ts'
import type { Candidate } from './list-candidates.ts'
import type { ListSearch } from './list-search.ts'

export interface ProofsOptions {
  self: string
  partials: Pick<Partials, 'drop'>
  lists: PieceLists
  clock: Clock
  logger: Logger
}

/** What is not asked for again after a crash. */
const keepEveryMs = 1000
/** Whoever brings it, it is another blob outside as well. */
const maxUnproven = 2

export class Proofs {
  readonly #digest: Digest
  readonly #search: ListSearch
  readonly #options: ProofsOptions
  #kept: { candidate: Candidate; known: number; atMs: number } | undefined
  #last: { startMs: number; endMs: number } | undefined
  #unproven = 0
  #isOwnWrong = false
  /** What is on the disk made up another blob. */
  #isWrong = false

  constructor(digest: Digest, search: ListSearch, options: ProofsOptions) {
    this.#digest = digest
    this.#search = search
    this.#options = options
  }

  /** How long the last one took; milliseconds since the epoch. */
  get last(): { startMs: number; endMs: number } | undefined {
    return this.#last
  }

  /** How often all pieces came and were another blob. */
  get unproven(): number {
    return this.#unproven
  }

  /** Whether the last of these was of what came here from the origin alone. */
  get isOwnWrong(): boolean {
    return this.#isOwnWrong
  }

  /** Keeps the list as far as it is known; what nobody signed yet is signed here. */
  async keep(candidate: Candidate, { everyMs = keepEveryMs } = {}): Promise<void> {
    const { lists, clock } = this.#options
    const { list } = candidate
    const kept = this.#kept?.candidate === candidate ? this.#kept : { known: 0, atMs: 0 }
    if (list.known === kept.known || clock.now() - kept.atMs < everyMs) return
    this.#kept = { candidate, known: list.known, atMs: clock.now() }
    await lists.keep(this.#digest, lists.growing(list, 0))
  }

  /**
   * With every piece here: puts the blob into the store, or says why not. Whoever vouched for the list is convicted then. Throws
   * BlobUnprovenError when it is not to be tried any more.
   */
  async prove({ candidate, partial }: Attempt): Promise<BlobUnprovenError | undefined> {
    const { clock } = this.#options
    const startMs = clock.now()
    try {
      await partial.finish()
    } catch (error) {
      if (!isDigestInvalid(error)) throw error
      return await this.#convict(candidate, error)
    } finally {
      this.#last = { startMs, endMs: clock.now() }
    }
    this.#isWrong = false
    return undefined
  }

  /** Vouches for the list of what is proven: its hashes need no second reading for that. Who signed another is convicted. */
  async vouch(candidate: Candidate): Promise<void> {
    const { layout, hashes } = candidate.list
    await this.#options.lists.vouch(this.#digest, layout.size, hashes)
    this.#search.prove(candidate)
  }

  /** Leaves nothing on the disk that is known to be another blob. */
  async end(): Promise<void> {
    if (this.#isWrong) await this.#options.partials.drop(this.#digest)
  }

  async #convict(candidate: Candidate, cause: unknown): Promise<BlobUnprovenError> {
    const { self, lists, logger } = this.#options
    const authors = [...candidate.authors]
    logger.warn({ digest: this.#digest, authors }, 'a piece list was not the blob’s')
    this.#isWrong = true
    this.#isOwnWrong = authors.every((author) => author === self)
    this.#search.convict(candidate)
    await lists.drop(this.#digest)
    // What is kept next has to be kept from its beginning.
    this.#kept = undefined
    const failure = new BlobUnprovenError(this.#digest, { cause })
    if (candidate.vouchers.size === 0 && ++this.#unproven >= maxUnproven) throw failure
    return failure
  }
}

function isDigestInvalid(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'DIGEST_INVALID'
}
