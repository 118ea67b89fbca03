/** One blob on its way into the store: whom to believe about its pieces, the download itself, and the proof at its end. */
import { type Clock, fromUpstream, type Logger, type Metrics } from '../base/base.ts'
import type { Digest, Repository } from '../oci/oci.ts'
import type { PartialBlob, Partials } from '../store/store.ts'
import type { Verifier } from '../wire/wire.ts'
import { Attempt } from './attempt.ts'
import type { DownloadLimits, DropReason } from './download-events.ts'
import type { Providers } from './engine-contract.ts'
import { BlobUnavailableError, BlobUnprovenError } from './engine-errors.ts'
import type { Faults } from './faults.ts'
import type { Holdings } from './holdings.ts'
import { type Candidate, isAgreed, type Liars } from './list-candidates.ts'
import { ListSearch } from './list-search.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { PieceLists } from './piece-lists.ts'
import type { Layout } from './piece-size.ts'
import { type HoldingSource, type Source, Sources, type SourcesOptions } from './sources.ts'
import type { TokenBucket } from './token-bucket.ts'
import { type TransferView, viewOf } from './transfer-view.ts'
import { untilEither } from './wait.ts'
import type { WantEvent, Wanted } from './want.ts'

/** What all transfers of a node share. */
export interface TransferContext extends Omit<SourcesOptions, 'wanted' | 'refuses' | 'onEvent'> {
  partials: Partials
  holdings: Holdings
  lists: PieceLists
  liars: Liars
  faults: Faults
  verifier: Verifier
  memory: MemoryBudget
  providers: Providers
  budget?: TokenBucket
  limits: Partial<DownloadLimits>
  /** A transfer to which nothing comes for this long fails. */
  giveUpMs: number
  clock: Clock
  logger: Logger
  metrics: Metrics
}

/** A reader of a transfer, as the transfer knows it. */
export interface Follower {
  /** The piece that it waits for or reads. */
  piece: number
  /** Set when what it has read is not the blob. */
  failure: Error | undefined
}

const tickMs = 50
/** In flight for one transfer: what a fast link takes in half a second. */
const mostBytes = 16 * 1024 * 1024

export class Transfer {
  readonly digest: Digest
  /** On whose behalf a member let this node have it. */
  readonly repositories: Set<Repository>
  readonly #context: TransferContext
  readonly #sources: Sources
  readonly #search: ListSearch
  readonly #followers = new Set<Follower>()
  readonly #ready = Promise.withResolvers<Layout>()
  readonly #done = Promise.withResolvers<void>()
  #change = Promise.withResolvers<void>()
  #attempt: Attempt | undefined
  #layout: Layout | undefined
  #failure: Error | undefined
  #proven = false
  #announced = false
  /** The list to be tried instead of the one that is believed now. */
  #instead: Candidate | undefined
  #proving = false
  #proof: { startMs: number; endMs: number } | undefined
  /** By piece, of those that came since it began. */
  readonly #givers = new Map<number, string>()
  #movedMs: number
  readonly #over = new AbortController()

  constructor(wanted: Wanted, context: TransferContext) {
    this.digest = wanted.digest
    this.repositories = new Set([wanted.repository])
    this.#context = context
    this.#movedMs = context.clock.now()
    this.#sources = new Sources({
      ...context,
      wanted,
      refuses: (peer) => context.liars.has(peer, wanted.digest),
      onEvent: (source, event) => this.#heard(source, event),
    })
    this.#search = new ListSearch({
      digest: wanted.digest,
      sources: this.#sources,
      ...context,
      onFound: () => this.#reconsider(),
      onGuilty: (source, piece) => this.#convictSource(source, piece),
      onDissent: () => this.#reconsider(),
    })
    // Whoever waits hears of a failure; when nobody does, it is of no account.
    this.#ready.promise.catch(() => undefined)
    this.#done.promise.catch(() => undefined)
  }

  /** Whether a member holds any of it: known within about six seconds. */
  get found(): Promise<boolean> {
    return this.#sources.found
  }

  /** Resolves when it can be read. */
  get ready(): Promise<Layout> {
    return this.#ready.promise
  }

  /** Resolves when it is in the store. */
  get done(): Promise<void> {
    return this.#done.promise
  }

  get proven(): boolean {
    return this.#proven
  }

  /** Whether all is here and only the proof is missing, which closes `partial`. */
  get proving(): boolean {
    return this.#proving
  }

  get failure(): Error | undefined {
    return this.#failure
  }

  /** Who gave the piece; `undefined` when it was here before, or is not here. */
  giverOf(piece: number): string | undefined {
    return this.#givers.get(piece)
  }

  /** How long the last proof took; milliseconds since the epoch. */
  get proof(): { startMs: number; endMs: number } | undefined {
    return this.#proof
  }

  /** What can be read of it now, changing with the list that is believed. */
  get partial(): PartialBlob | undefined {
    return this.#attempt?.partial
  }

  get progress(): { size: number | undefined; held: number; pieces: number; peers: number } {
    const held = this.#attempt?.held
    return {
      size: this.#layout?.size,
      held: held?.held ?? 0,
      pieces: this.#layout?.count ?? 0,
      peers: this.#attempt?.peers ?? 0,
    }
  }

  /** As it stands, for whoever watches. */
  get view(): TransferView {
    return viewOf({
      digest: this.digest,
      repositories: this.repositories,
      layout: this.#layout,
      held: this.#attempt?.held,
      proving: this.#proving,
      sources: this.#sources.all(),
      delayOf: (source) => this.#attempt?.delayOf(source),
    })
  }

  /** Resolves at the next change of anything here. */
  get change(): Promise<void> {
    return this.#change.promise
  }

  follow(piece: number): Follower {
    const follower = { piece, failure: undefined }
    this.#followers.add(follower)
    this.followed()
    return follower
  }

  unfollow(follower: Follower): void {
    if (this.#followers.delete(follower)) this.followed()
  }

  /** A follower has moved. */
  followed(): void {
    this.#attempt?.readers([...this.#followers].map(({ piece }) => piece))
  }

  /** A peer that asks for this blob may soon have some of it. */
  consider(peer: string): void {
    this.#sources.add(peer)
  }

  /** To its end, or until stopped, which keeps the part. Never throws: see `failure`. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const either = AbortSignal.any([signal, this.#over.signal])
    const beside = [
      this.#beside(this.#sources.search(either), either),
      this.#beside(this.#tick(either), either),
    ]
    try {
      await this.#search.recall()
      while (!this.#proven) await this.#try(await this.#nextCandidate(either), either)
      this.#done.resolve()
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#over.abort(new Error('the transfer is over'))
      await Promise.all(beside)
      this.#sources.close()
      this.#news()
    }
  }

  /** A loop beside the download; its failure is the transfer's, and its being stopped is none. */
  async #beside(loop: Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await loop
    } catch (error) {
      if (!signal.aborted) this.#fail(error)
    }
  }

  async #tick(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#context.clock.sleep(tickMs, { signal })
      const attempt = this.#attempt
      if (attempt === undefined) this.#search.ask()
      else if (attempt.peers === 0) this.#reconsider()
      this.#search.expire()
      attempt?.wake()
      const idleMs = this.#context.clock.now() - this.#movedMs
      if (idleMs > this.#context.giveUpMs && attempt?.held.complete !== true) {
        const reason = `nothing came for ${Math.round(idleMs / 1000)} s`
        throw new BlobUnavailableError(this.digest, reason)
      }
    }
  }

  async #nextCandidate(signal: AbortSignal): Promise<Candidate> {
    for (;;) {
      const candidate = this.#instead ?? this.#search.best()
      if (candidate !== undefined && this.#sources.holding().length > 0) return candidate
      this.#search.ask()
      await untilEither(this.change, signal)
    }
  }

  /** Downloads under one list, until the blob is in the store, the list proves wrong, or another is to be believed. */
  async #try(candidate: Candidate, signal: AbortSignal): Promise<void> {
    const { list } = candidate
    const { partials, memory, clock, random, budget, limits } = this.#context
    const { size, pieceBytes } = list.layout
    using lease = await memory.lend({ least: 2 * pieceBytes, most: mostBytes, signal })
    await using partial = await partials.open({ digest: this.digest, size, pieceBytes, hashes: list.hashes })
    const attempt = new Attempt({
      candidate,
      partial,
      limits: { ...limits, maxBytes: Math.max(1, lease.bytes - pieceBytes) },
      clock,
      random,
      ...(budget === undefined ? {} : { budget }),
      onGained: (piece, giver) => this.#gained(piece, giver),
      onWrong: (source, piece) => this.#search.suspect(source, piece, candidate),
      onDrop: (source, reason) => this.#dropped(source, reason),
    })
    try {
      await this.#begin(attempt)
      await untilEither(Promise.race([attempt.over, this.#whileBelieved(attempt)]), signal)
      await attempt.close()
      if (attempt.held.complete) await this.#prove(attempt)
    } finally {
      this.#attempt = undefined
      await attempt.close()
      this.#context.holdings.end(this.digest, { proven: this.#proven })
    }
  }

  async #begin(attempt: Attempt): Promise<void> {
    const { list } = attempt.candidate
    await this.#context.lists.keep(list)
    this.#attempt = attempt
    this.#layout = list.layout
    this.#instead = undefined
    this.#context.holdings.begin(this.digest, {
      list,
      held: attempt.held,
      repositories: this.repositories,
      chunks: (start, end, options) => attempt.partial.chunks(start, end, options),
    })
    if (attempt.held.held > 0) this.#announce()
    for (const source of this.#sources.holding()) this.#join(source)
    this.followed()
    this.#ready.resolve(list.layout)
    this.#news()
  }

  /** Resolves when another list is to be tried. */
  async #whileBelieved(attempt: Attempt): Promise<void> {
    while (this.#instead === undefined && this.#attempt === attempt) await this.change
  }

  async #prove({ candidate, partial }: Attempt): Promise<void> {
    const { lists, logger, clock } = this.#context
    const { list } = candidate
    const startMs = clock.now()
    this.#proving = true
    try {
      await partial.finish()
      this.#proven = true
    } catch (error) {
      if (!isDigestInvalid(error)) throw error
      logger.warn({ digest: this.digest, author: list.author }, 'a piece list was not the blob’s')
      this.#search.convict(candidate)
      await lists.drop(this.digest)
      this.#disappoint(new BlobUnprovenError(this.digest, { cause: error }))
      return
    } finally {
      this.#proof = { startMs, endMs: clock.now() }
      this.#proving = false
      this.#news()
    }
    this.#announce()
    // Proven hashes need no second reading to be vouched for.
    await lists.vouch(this.digest, list.layout.size, list.hashes)
    this.#search.prove(candidate)
  }

  #heard(source: Source, event: WantEvent): void {
    if (event.type === 'bytes') this.#movedMs = this.#context.clock.now()
    if (event.type === 'list' || event.type === 'no-list' || event.type === 'ended') {
      this.#search.heard(source, event)
    }
    if (event.type === 'holds' && isHolding(source)) this.#join(source)
    else this.#attempt?.heard(source, event)
    this.#news()
  }

  #join(source: HoldingSource): void {
    const attempt = this.#attempt
    if (attempt === undefined) return
    const { list } = attempt.candidate
    if (source.holds.size !== list.layout.size) this.#search.question(source)
    else if (!this.#search.isDoubted(source, attempt.candidate)) attempt.join(source)
  }

  #gained(piece: number, giver: string): void {
    this.#movedMs = this.#context.clock.now()
    this.#givers.set(piece, giver)
    const source = giver === fromUpstream ? 'upstream' : 'peer'
    this.#context.metrics.count('shoal_exchange_pieces_total', { source })
    this.#announce()
    this.#context.holdings.gained(this.digest, piece)
    this.#news()
  }

  #announce(): void {
    if (this.#announced) return
    this.#announced = true
    this.#context.providers.announce(this.digest)
  }

  #dropped(source: Source, reason: DropReason): void {
    if (reason === 'wrong-piece') {
      this.#sources.shun(source, 'for-good')
      return
    }
    this.#context.faults.add(source.peer, reason, { digest: this.digest })
    this.#sources.shun(source, 'for-now')
    if (reason === 'stalled') source.link.abort(new BlobUnavailableError(this.digest, 'the peer is silent'))
  }

  #convictSource(source: Source, piece: number): void {
    this.#context.faults.add(source.peer, 'wrong-bytes', { digest: this.digest, piece })
    source.want.bad(piece)
    this.#attempt?.leave(source)
    this.#sources.shun(source, 'for-good')
  }

  /** Whether another list is to be believed. */
  #reconsider(): void {
    const attempt = this.#attempt
    if (attempt === undefined) {
      this.#news()
      return
    }
    if (attempt.held.complete) return
    const better = this.#search.better(attempt.candidate, attempt.peers === 0)
    if (better === undefined) return
    this.#instead = better
    // What was read of pieces that the other list does not have is worthless.
    if (!isAgreed(attempt.candidate.list, better.list, attempt.held)) {
      this.#disappoint(new BlobUnprovenError(this.digest))
    }
    this.#news()
  }

  #disappoint(error: Error): void {
    for (const follower of this.#followers) follower.failure = error
    this.#news()
  }

  #fail(error: unknown): void {
    const failure = error instanceof Error ? error : new BlobUnavailableError(this.digest, String(error))
    this.#failure ??= failure
    this.#ready.reject(failure)
    this.#done.reject(failure)
    this.#over.abort(failure)
    this.#news()
  }

  #news(): void {
    const { resolve } = this.#change
    this.#change = Promise.withResolvers()
    resolve()
  }
}

function isHolding(source: Source): source is HoldingSource {
  return source.holds !== undefined
}

function isDigestInvalid(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'DIGEST_INVALID'
}
