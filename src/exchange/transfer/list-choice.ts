/** Which piece list a blob is downloaded by: the first that comes, until another is more use, or none is left for which there is room. */
import { type Clock, unlessAborted } from '../../base/base.ts'
import { BlobUnprovenError } from '../errors.ts'
import { layoutOf } from '../protocol/piece-size.ts'
import type { Attempt } from './attempt.ts'
import { type Candidate, isAgreed, isAgreedOn } from './list-candidates.ts'
import type { ListSearch } from './list-search.ts'
import type { Sources } from './sources.ts'
import type { TransferState } from './transfer-state.ts'

/** So long is waited for a member that may say another size than the one that there is no room for. */
const sizesMs = 2000

export class ListChoice {
  readonly #state: TransferState
  readonly #sources: Sources
  readonly #search: ListSearch
  readonly #clock: Clock
  /** The list to be tried instead of the one that is believed now. */
  #instead: Candidate | undefined
  /** When the first list was found for which there is no room. */
  #tooLargeMs: number | undefined

  constructor(state: TransferState, sources: Sources, search: ListSearch, clock: Clock) {
    this.#state = state
    this.#sources = sources
    this.#search = search
    this.#clock = clock
  }

  /** Where no download is under way, one is about to begin. */
  get isListed(): boolean {
    return (this.#instead ?? this.#search.candidates.best()) !== undefined
  }

  /** The one to go by. Throws when there is no room for any. */
  async next(signal: AbortSignal): Promise<Candidate> {
    const { asking, candidates } = this.#search
    for (;;) {
      const candidate = this.#instead ?? candidates.best()
      const holding = this.#sources.holding()
      if (candidate !== undefined && (this.#state.origin !== undefined || holding.length > 0))
        return candidate
      if (candidates.isTooLarge(holding)) this.#refuse(candidates.refusal)
      asking.ask()
      await unlessAborted(this.#state.change, signal)
    }
  }

  /** Begins a list that this node makes itself, of what comes from the origin. */
  begin(size: number): void {
    this.#instead = this.#search.candidates.begin(layoutOf(size))
    if (this.#state.attempt !== undefined) this.#disappoint()
    this.#state.news()
  }

  /** It is gone by from now on. */
  follow(): void {
    this.#instead = undefined
  }

  /** There is no room for what it tells of. */
  refuse(candidate: Candidate, reason: Error): void {
    candidate.refusal = reason
    if (this.#instead === candidate) this.#instead = undefined
  }

  /** Nothing is to be had by this list any more. */
  abandon(candidate: Candidate): void {
    if (this.#state.attempt?.candidate !== candidate) return
    const { candidates } = this.#search
    this.#instead = candidates.best() ?? candidates.begin(candidate.list.layout)
    this.#disappoint()
  }

  /** To be called while there is no list. */
  check(): void {
    this.#search.asking.ask()
    // Whoever waits for a list looks whether there is any to wait for.
    if (this.#tooLargeMs !== undefined) this.#state.news()
  }

  /** Whether another list is to be tried: one that gets on while this one does not. */
  compare(attempt: Attempt): void {
    const { candidate, trials } = attempt
    const nowMs = this.#clock.now()
    // Nothing comes of what nobody wants: that tells nothing of its list.
    if (attempt.isSated) {
      trials.idle(nowMs)
      return
    }
    const { candidates } = this.#search
    for (const rival of candidates.rivals(candidate, this.#sources.holding(), nowMs)) {
      if (attempt.peers === 0 && this.#state.origin === undefined) {
        this.#change(attempt, rival.candidate)
        return
      }
      trials.begin(rival, nowMs)
    }
    const better = trials.verdict(nowMs, (vain) => candidates.giveUp(vain, nowMs))
    if (better !== undefined) this.#change(attempt, better)
  }

  /** Resolves when another list is to be tried. */
  async whileBelieved(attempt: Attempt): Promise<void> {
    while (this.#instead === undefined && this.#state.attempt === attempt) await this.#state.change
  }

  #change({ candidate, held }: Attempt, better: Candidate): void {
    this.#search.candidates.giveUp(candidate, this.#clock.now())
    this.#instead = better
    const [before, after] = [candidate.list, better.list]
    // What was read of pieces that the other list does not have is worthless.
    if (isAgreed(before, after, held)) this.#state.news()
    else this.#disappoint((piece) => !isAgreedOn(before, after, piece))
  }

  #disappoint(isWrong?: (piece: number) => boolean): void {
    this.#state.disappoint(new BlobUnprovenError(this.#state.digest), isWrong)
  }

  /** Throws, once nobody is waited for that may say another size than those for which there is no room. */
  #refuse(refusal: Error): void {
    const nowMs = this.#clock.now()
    this.#tooLargeMs ??= nowMs
    if (nowMs - this.#tooLargeMs >= sizesMs || this.#sources.search.isAsked) throw refusal
  }
}
