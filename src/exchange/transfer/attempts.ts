/** The downloads of one blob, one after another: which list to go by, and whether another is more use. */
import { type Clock, type TokenBucket, unlessAborted } from '../../base/base.ts'
import type { Digest, Repository } from '../../oci/oci.ts'
import type { PartialBlob, Partials } from '../../store/store.ts'
import { BlobUnprovenError } from '../errors.ts'
import type { WantEvent } from '../peer/want.ts'
import type { DownloadLimits, DropReason } from '../picker/download-events.ts'
import { layoutOf, pieceLength } from '../protocol/piece-size.ts'
import type { Holdings } from '../seeding/holdings.ts'
import { Attempt } from './attempt.ts'
import { type Candidate, isAgreed, isAgreedOn } from './list-candidates.ts'
import type { ListSearch } from './list-search.ts'
import type { MemoryBudget } from './memory-budget.ts'
import { Proofs, type ProofsOptions } from './proofs.ts'
import { type HoldingSource, isHolding, type Source, type Sources } from './sources.ts'
import type { State, TransferState } from './transfer-state.ts'
import { Trials } from './trial.ts'

/** The transfer whose downloads they are. */
export interface AttemptsHost {
  readonly digest: Digest
  readonly repositories: ReadonlySet<Repository>
  /** This node brings it from the origin. */
  readonly isOrigin: boolean
  /** Every member has said whether it holds any of it. */
  readonly isAsked: boolean
  /** It is about to be written, and can be read before it is `gained`. */
  writes(piece: number, giver: string): void
  gained(piece: number, giver: string): void
  dropped(source: Source, reason: DropReason): void
  /** Others can have some of it from here. */
  announce(): void
}

export interface AttemptsOptions extends ProofsOptions {
  partials: Partials
  holdings: Holdings
  memory: MemoryBudget
  budget?: TokenBucket
  limits: Partial<DownloadLimits>
  clock: Clock
  random(): number
}

type Downloading = Extract<State, { name: 'downloading' }>

/** In flight for one transfer: what a fast link takes in half a second. */
const mostBytes = 16 * 1024 * 1024
/** So long is waited for a member that may say another size than the one that there is no room for. */
const sizesMs = 2000

export class Attempts {
  readonly proofs: Proofs
  readonly #host: AttemptsHost
  readonly #state: TransferState
  readonly #sources: Sources
  readonly #search: ListSearch
  readonly #options: AttemptsOptions
  /** The list to be tried instead of the one that is believed now. */
  #instead: Candidate | undefined
  /** When the first list was found for which there is no room. */
  #tooLargeMs: number | undefined

  constructor(
    host: AttemptsHost,
    parts: { state: TransferState; sources: Sources; search: ListSearch },
    options: AttemptsOptions,
  ) {
    this.#host = host
    this.#state = parts.state
    this.#sources = parts.sources
    this.#search = parts.search
    this.#options = options
    this.proofs = new Proofs(host.digest, parts.search, options)
  }

  /** Where no download is under way, one is about to begin. */
  get isListed(): boolean {
    return (this.#instead ?? this.#search.best()) !== undefined
  }

  /** Until the blob is in the store. Throws what cannot be helped by another list. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (this.#state.now.name !== 'proven') await this.#try(await this.#nextCandidate(signal), signal)
    } finally {
      await this.proofs.end()
    }
  }

  /** Begins a list that this node makes itself, of what comes from the origin. */
  begin(size: number): void {
    this.#instead = this.#search.begin(layoutOf(size))
    if (this.#state.attempt !== undefined) this.#disappoint()
    this.#state.news()
  }

  /** To be called now and then. */
  async check(): Promise<void> {
    const { now } = this.#state
    if (now.name === 'searching') {
      this.#search.asking.ask()
      // Whoever waits for a list looks whether there is any to wait for.
      if (this.#tooLargeMs !== undefined) this.#state.news()
    }
    if (now.name !== 'downloading') return
    const { attempt } = now
    attempt.wake()
    this.#show(attempt)
    this.#compare(now)
    this.#search.grow(attempt.candidate)
    await this.proofs.keep(attempt.candidate)
  }

  heard(source: Source, event: WantEvent): void {
    const { now, attempt } = this.#state
    if (event.type === 'list' || event.type === 'no-list' || event.type === 'ended') {
      this.#search.heard(source, event)
    }
    if (now.name === 'downloading') {
      const tried = now.trials.heard(source, event, this.#options.clock.now())
      if (tried?.isRight === false) this.#search.suspect(source, tried.piece, tried.candidate)
      // By the list that is gone by, it would be wrong.
      if (tried !== undefined) return
    }
    if (event.type === 'holds' && isHolding(source)) this.#join(source)
    else attempt?.heard(source, event)
    if (attempt === undefined || event.type !== 'has') return
    const { list } = attempt.candidate
    if (event.pieces.some((piece) => piece >= list.known)) this.grow()
  }

  /** Others hold what the list does not tell of: it is asked for. */
  grow(): void {
    const { attempt } = this.#state
    if (attempt !== undefined) this.#search.grow(attempt.candidate)
  }

  /** A list has come, or grown. */
  reconsider(): void {
    const { now } = this.#state
    if (now.name !== 'downloading') {
      this.#state.news()
      return
    }
    const { attempt } = now
    attempt.learn()
    for (const source of this.#sources.holding()) {
      if (this.#search.isDoubted(source, attempt.candidate)) attempt.leave(source)
      else if (!attempt.has(source) || this.#search.dissentOf(source, attempt.candidate)) this.#join(source)
    }
    this.#compare(now)
  }

  /** Nothing is to be had by this list any more. */
  abandon(candidate: Candidate): void {
    if (this.#state.attempt?.candidate !== candidate) return
    this.#instead = this.#search.best() ?? this.#search.begin(candidate.list.layout)
    this.#disappoint()
  }

  /** Whether another list is to be tried: one that gets on while this one does not. */
  #compare({ attempt, trials }: Downloading): void {
    if (attempt.held.complete) return
    const nowMs = this.#options.clock.now()
    for (const rival of this.#search.rivals(attempt.candidate)) {
      if (attempt.peers === 0 && !this.#host.isOrigin) {
        this.#change(attempt, rival.candidate)
        return
      }
      trials.begin(rival, nowMs)
    }
    const better = trials.verdict(nowMs, (candidate) => this.#search.giveUp(candidate))
    if (better !== undefined) this.#change(attempt, better)
  }

  #change({ candidate, held }: Attempt, better: Candidate): void {
    this.#search.giveUp(candidate)
    this.#instead = better
    const [before, after] = [candidate.list, better.list]
    // What was read of pieces that the other list does not have is worthless.
    if (isAgreed(before, after, held)) this.#state.news()
    else this.#disappoint((piece) => !isAgreedOn(before, after, piece))
  }

  #disappoint(isWrong?: (piece: number) => boolean): void {
    this.#state.disappoint(new BlobUnprovenError(this.#host.digest), isWrong)
  }

  /** Only what has given a piece, or comes from the origin, is shown: whoever was told a wrong size would have to be cut off. */
  #show({ candidate, held }: Attempt): void {
    const { layout } = candidate.list
    if (held.held > 0 || held.complete || this.#host.isOrigin) this.#state.show(layout)
  }

  async #nextCandidate(signal: AbortSignal): Promise<Candidate> {
    for (;;) {
      const candidate = this.#instead ?? this.#search.best()
      const isFed = this.#host.isOrigin || this.#sources.holding().length > 0
      if (candidate !== undefined && isFed) return candidate
      if (this.#search.isTooLarge) this.#refuse()
      this.#search.asking.ask()
      await unlessAborted(this.#state.change, signal)
    }
  }

  /** Throws, once nobody is waited for that may say another size than those for which there is no room. */
  #refuse(): void {
    const nowMs = this.#options.clock.now()
    this.#tooLargeMs ??= nowMs
    if (nowMs - this.#tooLargeMs < sizesMs && !this.#host.isAsked) return
    throw this.#search.refusal()
  }

  /** The part that the list tells of; `undefined` when there is no room for that. */
  async #open(candidate: Candidate): Promise<PartialBlob | undefined> {
    const { list, kept: claimed } = candidate
    const { size, pieceBytes } = list.layout
    const plan = { digest: this.#host.digest, size, pieceBytes, hashes: list.hashes.slice(), claimed }
    try {
      return await this.#options.partials.open(plan)
    } catch (error) {
      if (!isStoreFull(error)) throw error
      this.#search.refuse(candidate, error)
      if (this.#instead === candidate) this.#instead = undefined
      return undefined
    }
  }

  /** Downloads under one list, until the blob is in the store, the list proves wrong, or another is to be believed. */
  async #try(candidate: Candidate, signal: AbortSignal): Promise<void> {
    const { holdings, memory, clock, random, budget, limits } = this.#options
    const { layout } = candidate.list
    const { pieceBytes } = layout
    using lease = await memory.lend({ least: 2 * pieceBytes, most: mostBytes, signal })
    await using partial = await this.#open(candidate)
    if (partial === undefined) return
    const trials = new Trials(candidate, clock.now())
    const attempt = new Attempt({
      candidate,
      partial,
      limits: { ...limits, maxBytes: Math.max(1, lease.bytes - pieceBytes) },
      clock,
      random,
      ...(budget === undefined ? {} : { budget }),
      onWrite: (piece, giver) => this.#host.writes(piece, giver),
      onGained: (piece, giver) => {
        trials.gained(pieceLength(layout, piece), clock.now())
        this.#host.gained(piece, giver)
        this.#show(attempt)
      },
      onWrong: (source, piece) => this.#search.suspect(source, piece, candidate),
      onDrop: (source, reason) => this.#host.dropped(source, reason),
    })
    try {
      await this.proofs.keep(candidate, { everyMs: 0 })
      this.#begin({ name: 'downloading', attempt, trials })
      await unlessAborted(Promise.race([attempt.over, this.#whileBelieved(attempt)]), signal)
      await attempt.close()
      if (attempt.held.complete) await this.#prove(attempt)
    } finally {
      trials.close()
      await attempt.close()
      candidate.kept = attempt.held.pieces()
      if (!attempt.held.complete) await this.proofs.keep(candidate, { everyMs: 0 })
      this.#state.go({ name: 'searching' })
      holdings.end(this.#host.digest, { proven: this.#state.now.name === 'proven' })
    }
  }

  #begin(downloading: Downloading): void {
    const host = this.#host
    const { attempt } = downloading
    this.#instead = undefined
    this.#state.go(downloading)
    this.#options.holdings.begin(host.digest, {
      list: attempt.candidate.list,
      held: attempt.held,
      repositories: host.repositories,
      get isOrigin() {
        return host.isOrigin
      },
      chunks: (start, end, options) => attempt.partial.chunks(start, end, options),
    })
    if (attempt.held.held > 0) host.announce()
    attempt.readers(this.#state.pieces())
    for (const source of this.#sources.holding()) this.#join(source)
    this.#show(attempt)
    attempt.learn()
    this.#state.news()
  }

  /** Resolves when another list is to be tried. */
  async #whileBelieved(attempt: Attempt): Promise<void> {
    while (this.#instead === undefined && this.#state.attempt === attempt) await this.#state.change
  }

  async #prove(attempt: Attempt): Promise<void> {
    this.#state.go({ name: 'proving', attempt })
    const failure = await this.proofs.prove(attempt)
    if (failure !== undefined) {
      this.#state.disappoint(failure)
      return
    }
    this.#state.go({ name: 'proven' })
    this.#host.announce()
    await this.proofs.vouch(attempt.candidate)
  }

  #join(source: HoldingSource): void {
    const { now } = this.#state
    if (now.name !== 'downloading') return
    const { attempt } = now
    const { candidate } = attempt
    if (source.holds.size !== candidate.list.layout.size) {
      this.#search.asking.question(source)
      return
    }
    const own = this.#search.dissentOf(source, candidate)?.list
    if (own !== undefined) attempt.join(source, (piece) => isAgreedOn(own, candidate.list, piece))
    else if (!this.#search.isDoubted(source, candidate)) attempt.join(source)
  }
}

function isStoreFull(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === 'STORE_FULL'
}
