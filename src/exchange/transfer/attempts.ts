/** The downloads of one blob, one after another: which list to believe, whether another is better, and the proof at the end. */
import { type Clock, type Logger, type TokenBucket, unlessAborted } from '../../base/base.ts'
import type { Digest, Repository } from '../../oci/oci.ts'
import type { PartialBlob, Partials } from '../../store/store.ts'
import { BlobUnprovenError } from '../errors.ts'
import type { WantEvent } from '../peer/want.ts'
import type { DownloadLimits, DropReason } from '../picker/download-events.ts'
import { type Layout, layoutOf, pieceLength } from '../protocol/piece-size.ts'
import type { Holdings } from '../seeding/holdings.ts'
import type { PieceLists } from '../seeding/piece-lists.ts'
import { Attempt } from './attempt.ts'
import { type Candidate, isAgreed, isAgreedOn } from './list-candidates.ts'
import type { ListSearch } from './list-search.ts'
import type { MemoryBudget } from './memory-budget.ts'
import { type HoldingSource, isHolding, type Source, type Sources } from './sources.ts'
import { Trials } from './trial.ts'

/** The transfer whose downloads they are. */
export interface AttemptsHost {
  readonly digest: Digest
  readonly repositories: ReadonlySet<Repository>
  /** This node brings it from outside the cluster. */
  readonly isLed: boolean
  /** Every member has said whether it holds any of it. */
  readonly isAsked: boolean
  /** Resolves at the next change of anything. */
  readonly change: Promise<void>
  /** It can be read, and is cut like this. */
  begins(layout: Layout): void
  /** It is about to be written, and can be read before it is `gained`. */
  writes(piece: number, giver: string): void
  gained(piece: number, giver: string): void
  dropped(source: Source, reason: DropReason): void
  /** What was read of it may be another blob; of those pieces alone that `isWrong` names, where it is given. */
  disappoint(error: Error, isWrong?: (piece: number) => boolean): void
  /** Others can have some of it from here. */
  announce(): void
  /** Who waits for anything has to look again. */
  news(): void
}

export interface AttemptsOptions {
  self: string
  partials: Partials
  holdings: Holdings
  lists: PieceLists
  memory: MemoryBudget
  budget?: TokenBucket
  limits: Partial<DownloadLimits>
  clock: Clock
  random(): number
  logger: Logger
}

/** In flight for one transfer: what a fast link takes in half a second. */
const mostBytes = 16 * 1024 * 1024
/** What is not asked for again after a crash. */
const keepEveryMs = 1000
/** Whoever brings it, it is another blob outside as well. */
const maxUnproven = 2
/** So long is waited for a member that may say another size than the one that there is no room for. */
const sizesMs = 2000

export class Attempts {
  readonly #host: AttemptsHost
  readonly #sources: Sources
  readonly #search: ListSearch
  readonly #options: AttemptsOptions
  #current: Attempt | undefined
  /** The list to be tried instead of the one that is believed now. */
  #instead: Candidate | undefined
  #proven = false
  #proving = false
  #proof: { startMs: number; endMs: number } | undefined
  #unproven = 0
  #isOwnWrong = false
  /** What is on the disk made up another blob. */
  #isWrong = false
  #kept: { candidate: Candidate; known: number; atMs: number } | undefined
  #trials: Trials | undefined
  #hasBegun = false
  /** When the first list was found for which there is no room. */
  #tooLargeMs: number | undefined

  constructor(host: AttemptsHost, parts: { sources: Sources; search: ListSearch }, options: AttemptsOptions) {
    this.#host = host
    this.#sources = parts.sources
    this.#search = parts.search
    this.#options = options
  }

  /** The download under way. */
  get current(): Attempt | undefined {
    return this.#current
  }

  /** The blob is in the store. */
  get proven(): boolean {
    return this.#proven
  }

  /** Whether all is here and only the proof is missing, which closes the part. */
  get proving(): boolean {
    return this.#proving
  }

  /** How long the last proof took; milliseconds since the epoch. */
  get proof(): { startMs: number; endMs: number } | undefined {
    return this.#proof
  }

  /** How often all pieces came and were another blob. */
  get unproven(): number {
    return this.#unproven
  }

  /** Whether the last of these was of what came here from outside alone. */
  get isOwnWrong(): boolean {
    return this.#isOwnWrong
  }

  /** Where no download is under way, one is about to begin. */
  get isListed(): boolean {
    return (this.#instead ?? this.#search.best()) !== undefined
  }

  /** Until the blob is in the store. Throws what cannot be helped by another list. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!this.#proven) await this.#try(await this.#nextCandidate(signal), signal)
    } finally {
      if (this.#isWrong) await this.#options.partials.drop(this.#host.digest)
    }
  }

  /** Begins a list that this node makes itself, of what comes from outside. */
  begin(size: number): void {
    this.#instead = this.#search.begin(layoutOf(size))
    if (this.#current !== undefined) this.#host.disappoint(new BlobUnprovenError(this.#host.digest))
    this.#host.news()
  }

  /** To be called now and then. */
  async check(): Promise<void> {
    const attempt = this.#current
    if (attempt === undefined) {
      this.#search.ask()
      // Whoever waits for a list looks whether there is any to wait for.
      if (this.#tooLargeMs !== undefined) this.#host.news()
      return
    }
    attempt.wake()
    this.#show(attempt)
    this.#compare(attempt)
    this.#search.grow(attempt.candidate)
    await this.#keepList(attempt)
  }

  heard(source: Source, event: WantEvent): void {
    const attempt = this.#current
    if (event.type === 'list' || event.type === 'no-list' || event.type === 'ended') {
      this.#search.heard(source, event)
    }
    const wrong = this.#trials?.heard(source, event, this.#options.clock.now())
    if (wrong !== undefined) this.#search.suspect(source, wrong.piece, wrong.candidate)
    if (event.type === 'holds' && isHolding(source)) this.#join(source)
    else attempt?.heard(source, event)
    if (attempt === undefined || event.type !== 'has') return
    const { list } = attempt.candidate
    if (event.pieces.some((piece) => piece >= list.known)) this.grow()
  }

  /** Others hold what the list does not tell of: it is asked for. */
  grow(): void {
    if (this.#current !== undefined) this.#search.grow(this.#current.candidate)
  }

  /** A list has come, or grown. */
  reconsider(): void {
    const attempt = this.#current
    if (attempt === undefined) {
      this.#host.news()
      return
    }
    attempt.learn()
    for (const source of this.#sources.holding()) {
      if (this.#search.isDoubted(source, attempt.candidate)) attempt.leave(source)
      else if (!attempt.has(source) || this.#search.dissentOf(source, attempt.candidate)) this.#join(source)
    }
    this.#compare(attempt)
  }

  /** Whether another list is to be tried: one that gets on while this one does not. */
  #compare(attempt: Attempt): void {
    const trials = this.#trials
    if (trials === undefined || attempt !== this.#current || attempt.held.complete) return
    const { candidate: current } = attempt
    const nowMs = this.#options.clock.now()
    for (const rival of this.#search.rivals(current)) {
      if (attempt.peers === 0 && !this.#host.isLed) {
        this.#change(attempt, rival.candidate)
        return
      }
      trials.begin(rival, nowMs)
    }
    const better = trials.verdict(nowMs, (candidate) => this.#search.giveUp(candidate))
    if (better !== undefined) this.#change(attempt, better)
  }

  #change(attempt: Attempt, better: Candidate): void {
    const { candidate, held } = attempt
    this.#search.giveUp(candidate)
    this.#instead = better
    // What was read of pieces that the other list does not have is worthless.
    if (!isAgreed(candidate.list, better.list, held)) {
      const isSame = candidate.list.layout.size === better.list.layout.size
      const isWrong = (piece: number): boolean => !isSame || !isAgreedOn(candidate.list, better.list, piece)
      this.#host.disappoint(new BlobUnprovenError(this.#host.digest), isWrong)
    }
    this.#host.news()
  }

  /** Only what has given a piece, or comes from outside, is shown: whoever was told a wrong size would have to be cut off. */
  #show({ candidate, held }: Attempt): void {
    if (this.#hasBegun || (held.held === 0 && !held.complete && !this.#host.isLed)) return
    this.#hasBegun = true
    this.#host.begins(candidate.list.layout)
  }

  /** Nothing is to be had by this list any more. */
  abandon(candidate: Candidate): void {
    if (this.#current?.candidate !== candidate) return
    this.#instead = this.#search.best() ?? this.#search.begin(candidate.list.layout)
    this.#host.disappoint(new BlobUnprovenError(this.#host.digest))
    this.#host.news()
  }

  async #nextCandidate(signal: AbortSignal): Promise<Candidate> {
    for (;;) {
      const candidate = this.#instead ?? this.#search.best()
      const isFed = this.#host.isLed || this.#sources.holding().length > 0
      if (candidate !== undefined && isFed) return candidate
      if (this.#search.isTooLarge) this.#refuse()
      this.#search.ask()
      await unlessAborted(this.#host.change, signal)
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
    const { digest } = this.#host
    const { holdings, memory, clock, random, budget, limits } = this.#options
    const { layout } = candidate.list
    const { pieceBytes } = layout
    using lease = await memory.lend({ least: 2 * pieceBytes, most: mostBytes, signal })
    await using partial = await this.#open(candidate)
    if (partial === undefined) return
    const attempt = new Attempt({
      candidate,
      partial,
      limits: { ...limits, maxBytes: Math.max(1, lease.bytes - pieceBytes) },
      clock,
      random,
      ...(budget === undefined ? {} : { budget }),
      onWrite: (piece, giver) => this.#host.writes(piece, giver),
      onGained: (piece, giver) => {
        this.#trials?.gained(pieceLength(layout, piece), clock.now())
        this.#host.gained(piece, giver)
        this.#show(attempt)
      },
      onWrong: (source, piece) => this.#search.suspect(source, piece, candidate),
      onDrop: (source, reason) => this.#host.dropped(source, reason),
    })
    try {
      await this.#begin(attempt)
      await unlessAborted(Promise.race([attempt.over, this.#whileBelieved(attempt)]), signal)
      await attempt.close()
      if (attempt.held.complete) await this.#prove(attempt)
    } finally {
      this.#current = undefined
      this.#trials?.close()
      this.#trials = undefined
      await attempt.close()
      candidate.kept = attempt.held.pieces()
      if (!attempt.held.complete) await this.#keepList(attempt, 0)
      holdings.end(digest, { proven: this.#proven })
    }
  }

  async #begin(attempt: Attempt): Promise<void> {
    const host = this.#host
    const { list } = attempt.candidate
    await this.#keepList(attempt, 0)
    this.#current = attempt
    this.#trials = new Trials(attempt.candidate, this.#options.clock.now())
    this.#hasBegun = false
    this.#instead = undefined
    this.#options.holdings.begin(host.digest, {
      list,
      held: attempt.held,
      repositories: host.repositories,
      get isOrigin() {
        return host.isLed
      },
      chunks: (start, end, options) => attempt.partial.chunks(start, end, options),
    })
    if (attempt.held.held > 0) host.announce()
    for (const source of this.#sources.holding()) this.#join(source)
    this.#show(attempt)
    attempt.learn()
    host.news()
  }

  /** Resolves when another list is to be tried. */
  async #whileBelieved(attempt: Attempt): Promise<void> {
    while (this.#instead === undefined && this.#current === attempt) await this.#host.change
  }

  #join(source: HoldingSource): void {
    const attempt = this.#current
    if (attempt === undefined) return
    const { candidate } = attempt
    if (source.holds.size !== candidate.list.layout.size) {
      this.#search.question(source)
      return
    }
    const own = this.#search.dissentOf(source, candidate)?.list
    if (own !== undefined) attempt.join(source, (piece) => isAgreedOn(own, candidate.list, piece))
    else if (!this.#search.isDoubted(source, candidate)) attempt.join(source)
  }

  /** So that a restart can go on: what nobody signed yet is signed here. */
  async #keepList({ candidate }: Attempt, everyMs = keepEveryMs): Promise<void> {
    const { lists, clock } = this.#options
    const { list } = candidate
    const kept = this.#kept?.candidate === candidate ? this.#kept : { known: 0, atMs: 0 }
    if (list.known === kept.known || clock.now() - kept.atMs < everyMs) return
    this.#kept = { candidate, known: list.known, atMs: clock.now() }
    await lists.keep(this.#host.digest, lists.growing(list, 0))
  }

  async #prove({ candidate, partial }: Attempt): Promise<void> {
    const { digest } = this.#host
    const { lists, logger, clock } = this.#options
    const { list } = candidate
    const startMs = clock.now()
    this.#proving = true
    try {
      await partial.finish()
      this.#proven = true
      this.#isWrong = false
    } catch (error) {
      if (!isDigestInvalid(error)) throw error
      const authors = [...candidate.authors]
      logger.warn({ digest, authors }, 'a piece list was not the blob’s')
      this.#isWrong = true
      this.#isOwnWrong = authors.every((author) => author === this.#options.self)
      this.#search.convict(candidate)
      await lists.drop(digest)
      this.#kept = undefined
      const failure = new BlobUnprovenError(digest, { cause: error })
      this.#host.disappoint(failure)
      if (candidate.vouchers.size === 0 && ++this.#unproven >= maxUnproven) throw failure
      return
    } finally {
      this.#proof = { startMs, endMs: clock.now() }
      this.#proving = false
      this.#host.news()
    }
    this.#host.announce()
    // Proven hashes need no second reading to be vouched for.
    await lists.vouch(digest, list.layout.size, list.hashes)
    this.#search.prove(candidate)
  }
}

function isStoreFull(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === 'STORE_FULL'
}

function isDigestInvalid(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'DIGEST_INVALID'
}
