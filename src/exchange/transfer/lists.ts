/** The piece lists of one transfer: those that peers send are proven and judged, what is judged is done, and what is gone by is kept. */
import { type Clock, type Logger, unlessAborted } from '../../base/base.ts'
import { BadSignatureError, MalformedError, type Verifier } from '../../wire/wire.ts'
import type { OriginDelegation } from '../contract.ts'
import { BlobUnprovenError } from '../errors.ts'
import type { Faults } from '../peer/faults.ts'
import type { WantEvent } from '../peer/want.ts'
import { openLists } from '../protocol/list-pack.ts'
import type { PieceLists } from '../seeding/piece-lists.ts'
import type { Attempt } from './attempt.ts'
import type { Candidate, Liars } from './candidates.ts'
import { type ListCommand, ListJudge } from './list-judge.ts'
import type { Source } from './source.ts'
import type { Sources } from './sources.ts'
import type { TransferState } from './transfer-state.ts'

export interface ListsOptions {
  self: string
  lists: PieceLists
  liars: Liars
  faults: Faults
  verifier: Verifier
  clock: Clock
  logger: Logger
  delegation?: OriginDelegation
  /** A list has come, or grown. */
  onFound(): void
}

/** What is not asked for again after a crash. */
const keepEveryMs = 1000
/** Who goes from one list to another has nothing for a moment. */
const hopeMs = 1000

export class Lists {
  readonly judge: ListJudge<Source>
  readonly #state: TransferState
  readonly #sources: Sources
  readonly #options: ListsOptions
  /** Why the last one that was wrong was. */
  #failure: BlobUnprovenError | undefined
  /** Since when it is hopeless. */
  #lostMs: number | undefined
  /** As it was kept last. */
  #kept: { candidate: Candidate; known: number; atMs: number } | undefined

  constructor(state: TransferState, sources: Sources, options: ListsOptions) {
    this.#state = state
    this.#sources = sources
    this.#options = options
    const { self, clock, liars } = options
    this.judge = new ListJudge({
      digest: state.digest,
      self,
      now: () => clock.now(),
      holding: () => sources.holding(),
      isLiar: (author) => liars.has(author, state.digest),
      act: (command) => this.#act(command),
    })
  }

  /** Believes a list that was kept from before, if any. */
  async recall(): Promise<void> {
    this.judge.recall((await this.#options.lists.find(this.#state.digest)) ?? [])
  }

  /** The one to go by. Throws when there is no room for any. */
  async next(signal: AbortSignal): Promise<Candidate> {
    for (;;) {
      const hasOrigin = this.#state.origin !== undefined
      const candidate = this.judge.next({ hasOrigin, isAsked: this.#sources.search.isAsked })
      if (candidate !== undefined) return candidate
      if (this.#failure !== undefined && this.#isHopeless()) throw this.#failure
      await unlessAborted(this.#state.change, signal)
    }
  }

  /** Returns whether it is about lists alone. */
  heard(source: Source, event: WantEvent): boolean {
    if (event.type === 'piece') return this.judge.tried(source, event.piece, event.chunks)
    // Ends by itself: it reads nothing but memory. Its failures are the peer's.
    if (event.type === 'list') void this.#read(source, event.bytes)
    if (event.type === 'no-list') this.judge.refused(source)
    return false
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

  /** With every piece here: puts the blob into the store, and vouches for its list; or false: whoever vouched for that is convicted, or the disk is wrong. */
  async prove(attempt: Attempt): Promise<boolean> {
    const { clock, lists } = this.#options
    const state = this.#state
    const { candidate, partial } = attempt
    const startMs = clock.now()
    state.go({ name: 'proving', attempt })
    try {
      await partial.finish()
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      // What was kept from before is not what it was: all of that is read again, and what is missing comes anew.
      if (code === 'BLOB_ROTTEN') {
        this.#state.disappoint(new BlobUnprovenError(this.#state.digest, { cause: error }))
        return false
      }
      if (code !== 'DIGEST_INVALID') throw error
      await this.#convict(candidate, error)
      return false
    } finally {
      state.proof = { startMs, endMs: clock.now() }
    }
    state.go({ name: 'proven' })
    // Its hashes need no second reading for that.
    await lists.vouch(state.digest, candidate.list.layout.size, candidate.list.hashes)
    this.judge.prove(candidate)
    return true
  }

  /** Whether no member can help any more, nor the origin. */
  #isHopeless(): boolean {
    const { origin, wanted } = this.#state
    const mayCome = origin !== undefined || this.#options.delegation?.covers(wanted.repository) === true
    const isLost = this.judge.isHopeless && (this.judge.isOwnWrong || !mayCome)
    const nowMs = this.#options.clock.now()
    this.#lostMs = isLost ? (this.#lostMs ?? nowMs) : undefined
    return this.#lostMs !== undefined && nowMs - this.#lostMs >= hopeMs
  }

  /** Whoever vouched for it is convicted. */
  async #convict(candidate: Candidate, cause: unknown): Promise<void> {
    const { lists, logger } = this.#options
    const { digest } = this.#state
    logger.warn({ digest, authors: [...candidate.authors] }, 'a piece list was not the blob’s')
    this.judge.convict(candidate)
    // Who looks for what is missing must not take it for whole until the next download begins.
    this.#state.go({ name: 'searching' })
    await lists.drop(digest)
    // What is kept next has to be kept from its beginning.
    this.#kept = undefined
    const failure = new BlobUnprovenError(digest, { cause })
    this.#failure = failure
    this.#state.disappoint(failure)
  }

  async #read(source: Source, bytes: Uint8Array): Promise<void> {
    const { verifier, faults, onFound } = this.#options
    const { digest } = this.#state
    const { holds, peer } = source
    try {
      this.judge.given(
        source,
        await openLists(bytes, { digest, ...(holds && { size: holds.size }) }, verifier),
      )
    } catch (error) {
      if (!(error instanceof MalformedError || error instanceof BadSignatureError)) throw error
      faults.add(peer, 'wrong-list', { digest, reason: error.message })
      this.#sources.shun(source, 'for-good')
    }
    onFound()
  }

  #act(command: ListCommand<Source>): void {
    const { liars, faults } = this.#options
    const { digest } = this.#state
    const sources = this.#sources
    switch (command.type) {
      case 'ask-list':
        command.giver.want.askList(command.from)
        return
      case 'request':
        command.giver.want.request([command.piece], true)
        return
      case 'cancel':
        command.giver.want.cancel([command.piece])
        return
      case 'leave':
        if (sources.get(command.giver.peer) === command.giver) sources.shun(command.giver, 'for-now')
        return
      case 'bad': {
        const { giver, piece } = command
        faults.add(giver.peer, 'wrong-bytes', { digest, piece })
        giver.want.bad(piece)
        sources.shun(giver, 'for-good')
        return
      }
      case 'convict': {
        liars.add(command.author, digest)
        faults.add(command.author, 'lying-list', { digest })
        const liar = sources.get(command.author)
        if (liar !== undefined) sources.shun(liar, 'for-good')
        return
      }
      case 'disappoint':
        this.#state.disappoint(new BlobUnprovenError(digest), command.isWrong)
    }
  }
}
