/** What downloads leave behind: the list of what has come, and the blob once its whole is proven. */
import type { Clock, Logger } from '../../base/base.ts'
import { BlobUnprovenError } from '../errors.ts'
import type { PieceLists } from '../seeding/piece-lists.ts'
import type { Attempt } from './attempt.ts'
import type { Candidate } from './list-candidates.ts'
import type { ListSearch } from './list-search.ts'
import type { TransferState } from './transfer-state.ts'

export interface ProofsOptions {
  lists: PieceLists
  clock: Clock
  logger: Logger
}

/** What is not asked for again after a crash. */
const keepEveryMs = 1000
/** Whoever fetches it, it is another blob at the origin as well. */
const maxUnproven = 2

export class Proofs {
  readonly #state: TransferState
  readonly #search: ListSearch
  readonly #options: ProofsOptions
  /** The list as it was kept last. */
  #kept: { candidate: Candidate; known: number; atMs: number } | undefined

  constructor(state: TransferState, search: ListSearch, options: ProofsOptions) {
    this.#state = state
    this.#search = search
    this.#options = options
  }

  /** Keeps the list as far as it is known, so that a restart can go on; what nobody signed yet is signed here. */
  async keep(candidate: Candidate, { everyMs = keepEveryMs } = {}): Promise<void> {
    const { lists, clock } = this.#options
    const { list } = candidate
    const kept = this.#kept?.candidate === candidate ? this.#kept : { known: 0, atMs: 0 }
    if (list.known === kept.known || clock.now() - kept.atMs < everyMs) return
    this.#kept = { candidate, known: list.known, atMs: clock.now() }
    await lists.keep(this.#state.digest, lists.growing(list, 0))
  }

  /** With every piece here: puts the blob into the store, and vouches for its list; or false, and whoever vouched for that is convicted. */
  async prove(attempt: Attempt): Promise<boolean> {
    const { clock, lists } = this.#options
    const state = this.#state
    const { candidate, partial } = attempt
    const startMs = clock.now()
    state.go({ name: 'proving', attempt })
    try {
      await partial.finish()
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'DIGEST_INVALID')) throw error
      await this.#convict(candidate, error)
      return false
    } finally {
      state.proof = { startMs, endMs: clock.now() }
    }
    state.go({ name: 'proven' })
    // Its hashes need no second reading for that.
    await lists.vouch(state.digest, candidate.list.layout.size, candidate.list.hashes)
    this.#search.prove(candidate)
    return true
  }

  /** Throws BlobUnprovenError when it is not to be tried any more. */
  async #convict(candidate: Candidate, cause: unknown): Promise<void> {
    const { lists, logger } = this.#options
    const { digest } = this.#state
    logger.warn({ digest, authors: [...candidate.authors] }, 'a piece list was not the blob’s')
    this.#search.convict(candidate)
    // Who looks for what is missing must not take it for whole until the next download begins.
    this.#state.go({ name: 'searching' })
    await lists.drop(digest)
    // What is kept next has to be kept from its beginning.
    this.#kept = undefined
    const failure = new BlobUnprovenError(digest, { cause })
    if (candidate.vouchers.size === 0 && this.#search.unproven >= maxUnproven) throw failure
    this.#state.disappoint(failure)
  }
}
