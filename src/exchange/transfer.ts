/**
 * One blob on its way into the store: whom to believe about its pieces, the download itself, what comes from outside the cluster
 * where no member has it, and the proof at its end.
 */
import { type Clock, fromUpstream, type Logger, type Metrics } from '../base/base.ts'
import type { Digest, Repository } from '../oci/oci.ts'
import type { PartialBlob, Partials } from '../store/store.ts'
import type { Verifier } from '../wire/wire.ts'
import { Attempt } from './attempt.ts'
import { Beginning, type BeginningPart } from './beginning.ts'
import type { DownloadLimits, DropReason } from './download-events.ts'
import type { LeadOptions, Origin, Providers } from './engine-contract.ts'
import { BlobUnavailableError, BlobUnprovenError } from './engine-errors.ts'
import type { Faults } from './faults.ts'
import type { Holdings } from './holdings.ts'
import { type Candidate, isAgreed, type Liars } from './list-candidates.ts'
import { ListSearch } from './list-search.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { PieceLists } from './piece-lists.ts'
import { type Layout, layoutOf, pieceAt } from './piece-size.ts'
import { type HoldingSource, type Source, Sources, type SourcesOptions } from './sources.ts'
import { Supply, type SupplyHost, type SupplyOptions } from './supply.ts'
import type { TokenBucket } from './token-bucket.ts'
import { type TransferView, viewOf } from './transfer-view.ts'
import { untilEither } from './wait.ts'
import type { WantEvent, Wanted } from './want.ts'

/** What all transfers of a node share. */
export interface TransferContext
  extends Omit<SourcesOptions, 'wanted' | 'refuses' | 'onEvent'>,
    Omit<SupplyOptions, 'over'> {
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
/** What is not asked for again after a crash. */
const keepEveryMs = 1000
/** What a waiting `try`, supply or reader looks at; pieces and bytes are told by the attempt. */
const isNews = new Set<WantEvent['type']>(['holds', 'absent', 'list', 'no-list', 'ended'])
/** Whoever brings it, it is another blob outside as well. */
const maxUnproven = 2

export class Transfer {
  readonly digest: Digest
  /** On whose behalf a member let this node have it. */
  readonly repositories: Set<Repository>
  readonly #context: TransferContext
  readonly #sources: Sources
  readonly #search: ListSearch
  readonly #supply: Supply
  readonly #followers = new Set<Follower>()
  readonly #wanted: Wanted
  readonly #found = Promise.withResolvers<boolean>()
  readonly #ready = Promise.withResolvers<Layout>()
  readonly #done = Promise.withResolvers<void>()
  #change = Promise.withResolvers<void>()
  #attempt: Attempt | undefined
  #layout: Layout | undefined
  readonly #beginning = new Beginning()
  #failure: Error | undefined
  #proven = false
  #announced = false
  /** The list to be tried instead of the one that is believed now. */
  #instead: Candidate | undefined
  #proving = false
  #proof: { startMs: number; endMs: number } | undefined
  /** By piece, of those that came since it began. */
  readonly #givers = new Map<number, string>()
  #isWanted = false
  #unproven = 0
  #kept = { known: 0, atMs: 0 }
  #movedMs: number
  readonly #over = new AbortController()

  constructor(wanted: Wanted, context: TransferContext) {
    this.digest = wanted.digest
    this.#wanted = wanted
    this.repositories = new Set([wanted.repository])
    this.#context = context
    this.#movedMs = context.clock.now()
    this.#sources = new Sources({
      ...context,
      wanted,
      isOutside: context.outside?.has(wanted.repository) === true,
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
      onDisproved: (candidate) => this.#abandon(candidate),
    })
    // With another way to have it, it is not known to be nowhere before that has failed, too.
    this.#supply = new Supply(this.#supplied(), { ...context, over: this.#over.signal })
    if (!this.#supply.isPossible) this.#sources.found.then(this.#found.resolve, this.#found.reject)
    this.#found.promise.catch(() => undefined)
    // Whoever waits hears of a failure; when nobody does, it is of no account.
    this.#ready.promise.catch(() => undefined)
    this.#done.promise.catch(() => undefined)
  }

  /** Whether a member holds any of it, or it comes from outside: known within about six seconds. Rejects when that failed. */
  get found(): Promise<boolean> {
    return this.#found.promise
  }

  /** Someone here wants it: when no member has it, it is brought from outside. */
  want(): void {
    this.#isWanted = true
  }

  /** Brings it from outside for the whole cluster; see `Exchange`. */
  async lead(origin: Origin, options: LeadOptions): Promise<boolean> {
    return await this.#supply.lead(origin, options)
  }

  /** What has come from outside of a piece that is not whole yet: a copy. */
  tail(position: number, end: number): Uint8Array | undefined {
    const bytes = this.#supply.tail(position, end)
    if (bytes !== undefined && this.#layout !== undefined) {
      this.#givers.set(pieceAt(this.#layout, position), fromUpstream)
    }
    return bytes
  }

  /** What a member has passed on of the beginning before anyone signed for it: a copy. */
  beginning(position: number, end: number): Uint8Array | undefined {
    return this.#beginning.read(position, end)
  }

  /** Resolves when it can be read. */
  get ready(): Promise<Layout> {
    // The first to tell the size may have been wrong.
    return this.#layout === undefined ? this.#ready.promise : Promise.resolve(this.#layout)
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
      this.#beside(this.#supply.run(either), either),
    ]
    try {
      await this.#search.recall()
      this.#supply.begin()
      while (!this.#proven) await this.#try(await this.#nextCandidate(either), either)
      this.#done.resolve()
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#over.abort(new Error('the transfer is over'))
      await Promise.all(beside)
      this.#found.resolve(false)
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
      if (attempt !== undefined) {
        this.#search.grow(attempt.candidate)
        await this.#keepList(attempt)
      }
      this.#supply.check()
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
      const isFed = this.#supply.isLed || this.#sources.holding().length > 0
      if (candidate !== undefined && isFed) return candidate
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
    const hashes = list.hashes.slice()
    await using partial = await partials.open({ digest: this.digest, size, pieceBytes, hashes })
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
      if (!attempt.held.complete) await this.#keepList(attempt, 0)
      this.#context.holdings.end(this.digest, { proven: this.#proven })
    }
  }

  async #begin(attempt: Attempt): Promise<void> {
    const { list } = attempt.candidate
    await this.#keepList(attempt, 0)
    this.#attempt = attempt
    const { size = list.layout.size } = this.#layout ?? {}
    // Whoever began to read was told another size.
    if (size !== list.layout.size) this.#disappoint(new BlobUnprovenError(this.digest))
    this.#layout = list.layout
    this.#instead = undefined
    const supply = this.#supply
    this.#context.holdings.begin(this.digest, {
      list,
      held: attempt.held,
      repositories: this.repositories,
      get isOrigin() {
        return supply.isLed
      },
      chunks: (start, end, options) => attempt.partial.chunks(start, end, options),
    })
    if (attempt.held.held > 0) this.#announce()
    for (const source of this.#sources.holding()) this.#join(source)
    this.followed()
    this.#ready.resolve(list.layout)
    this.#found.resolve(true)
    attempt.learn()
    this.#news()
  }

  /** Resolves when another list is to be tried. */
  async #whileBelieved(attempt: Attempt): Promise<void> {
    while (this.#instead === undefined && this.#attempt === attempt) await this.change
  }

  /** So that a restart can go on: what nobody signed yet is signed here. */
  async #keepList({ candidate: { list } }: Attempt, everyMs = keepEveryMs): Promise<void> {
    const { lists, clock } = this.#context
    if (list.known === this.#kept.known || clock.now() - this.#kept.atMs < everyMs) return
    this.#kept = { known: list.known, atMs: clock.now() }
    await lists.keep(this.digest, lists.growing(list, 0))
  }

  /** How the supply sees this transfer. */
  #supplied(): SupplyHost {
    const transfer = this
    return {
      wanted: this.#wanted,
      get attempt() {
        return transfer.#attempt
      },
      get isListed() {
        return (transfer.#instead ?? transfer.#search.best()) !== undefined
      },
      get isElsewhere() {
        return transfer.#sources.holding().some(({ holds }) => holds.held.held > 0)
      },
      get isMissing() {
        return transfer.#isMissing()
      },
      get hasBegun() {
        return transfer.#layout !== undefined
      },
      get proven() {
        return transfer.#proven
      },
      get unproven() {
        return transfer.#unproven
      },
      get change() {
        return transfer.change
      },
      asked: this.#sources.asked,
      begin: (size) => {
        this.#instead = this.#search.begin(layoutOf(size))
        if (this.#attempt !== undefined) this.#disappoint(new BlobUnprovenError(this.digest))
        this.#news()
      },
      grow: () => {
        if (this.#attempt !== undefined) this.#search.grow(this.#attempt.candidate)
      },
      tell: () => {
        if (this.#followers.size > 0) this.#news()
      },
      news: () => this.#news(),
      begins: (part) => this.#begins(part),
      moved: () => {
        this.#movedMs = this.#context.clock.now()
      },
      nowhere: () => this.#found.resolve(false),
    }
  }

  /** It can be read as far as that goes; what is signed may still say that it is another blob. */
  #begins(part: BeginningPart): void {
    if (this.#attempt !== undefined || !this.#beginning.add(part)) return
    this.#movedMs = this.#context.clock.now()
    this.#layout ??= this.#beginning.layout
    if (this.#layout !== undefined) this.#ready.resolve(this.#layout)
    this.#found.resolve(true)
    this.#news()
  }

  /** Someone here lacks pieces that nobody has. */
  #isMissing(): boolean {
    if (!this.#isWanted) return false
    const attempt = this.#attempt
    const holding = this.#sources.holding()
    if (attempt === undefined) return holding.length === 0
    if (holding.some(({ holds }) => holds.held.complete)) return false
    return attempt.firstAbsent() !== undefined
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
      const authors = [...candidate.authors]
      logger.warn({ digest: this.digest, authors }, 'a piece list was not the blob’s')
      this.#search.convict(candidate)
      await lists.drop(this.digest)
      const failure = new BlobUnprovenError(this.digest, { cause: error })
      this.#disappoint(failure)
      if (candidate.vouchers.size === 0 && ++this.#unproven >= maxUnproven) throw failure
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
    if (isHolding(source)) this.#found.resolve(true)
    if (event.type === 'holds' && isHolding(source)) this.#join(source)
    else this.#attempt?.heard(source, event)
    const attempt = this.#attempt
    if (
      attempt !== undefined &&
      event.type === 'has' &&
      event.pieces.some((piece) => piece >= attempt.candidate.list.known)
    ) {
      this.#search.grow(attempt.candidate)
    }
    if (isNews.has(event.type) || this.#supply.isLed) this.#news()
  }

  /** Nothing is to be had by this list any more. */
  #abandon(candidate: Candidate): void {
    if (this.#attempt?.candidate !== candidate) return
    this.#instead = this.#search.best() ?? this.#search.begin(candidate.list.layout)
    this.#disappoint(new BlobUnprovenError(this.digest))
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
    attempt.learn()
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
    this.#found.reject(failure)
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
