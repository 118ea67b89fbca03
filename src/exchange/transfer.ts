/**
 * One blob on its way into the store, as its readers and the node see it: who may have it, the downloads under the lists that are
 * believed, and what comes from outside the cluster where no member has it.
 */
import { fromUpstream, type Metrics } from '../base/base.ts'
import type { Digest, Repository } from '../oci/oci.ts'
import type { PartialBlob } from '../store/store.ts'
import type { Verifier } from '../wire/wire.ts'
import { Attempts, type AttemptsHost, type AttemptsOptions } from './attempts.ts'
import { Beginning, type BeginningPart } from './beginning.ts'
import type { DropReason } from './download-events.ts'
import type { LeadOptions, Origin, Providers } from './engine-contract.ts'
import { BlobUnavailableError, BlobUnprovenError } from './engine-errors.ts'
import type { Faults } from './faults.ts'
import type { Liars } from './list-candidates.ts'
import { ListSearch } from './list-search.ts'
import { type Layout, pieceAt } from './piece-size.ts'
import { isHolding, type Source, Sources, type SourcesOptions } from './sources.ts'
import { Supply, type SupplyHost, type SupplyOptions } from './supply.ts'
import { type TransferView, viewOf } from './transfer-view.ts'
import type { WantEvent, Wanted } from './want.ts'

/** What all transfers of a node share. */
export interface TransferContext
  extends Omit<SourcesOptions, 'wanted' | 'refuses' | 'onEvent'>,
    Omit<SupplyOptions, 'over'>,
    AttemptsOptions {
  liars: Liars
  faults: Faults
  verifier: Verifier
  providers: Providers
  /** A transfer to which nothing comes for this long fails. */
  giveUpMs: number
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
/** What readers, the supply and those who choose a list wait for; pieces are told as they are gained. */
const isNews = new Set<WantEvent['type']>(['holds', 'absent', 'list', 'no-list', 'ended'])

export class Transfer {
  readonly digest: Digest
  /** On whose behalf a member let this node have it. */
  readonly repositories: Set<Repository>
  readonly #context: TransferContext
  readonly #wanted: Wanted
  readonly #sources: Sources
  readonly #search: ListSearch
  readonly #attempts: Attempts
  readonly #supply: Supply
  readonly #beginning = new Beginning()
  readonly #followers = new Set<Follower>()
  readonly #found = Promise.withResolvers<boolean>()
  readonly #ready = Promise.withResolvers<Layout>()
  readonly #done = Promise.withResolvers<void>()
  #change = Promise.withResolvers<void>()
  #layout: Layout | undefined
  /** By piece, of those that came since it began. */
  readonly #givers = new Map<number, string>()
  #failure: Error | undefined
  #announced = false
  #isWanted = false
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
      onFound: () => this.#attempts.reconsider(),
      onGuilty: (source, piece) => this.#convictSource(source, piece),
      onDissent: () => this.#attempts.reconsider(),
      onDisproved: (candidate) => this.#attempts.abandon(candidate),
    })
    const parts = { sources: this.#sources, search: this.#search }
    this.#attempts = new Attempts(this.#attempted(), parts, context)
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
    return this.#attempts.proven
  }

  /** Whether all is here and only the proof is missing, which closes `partial`. */
  get proving(): boolean {
    return this.#attempts.proving
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
    return this.#attempts.proof
  }

  /** What can be read of it now, changing with the list that is believed. */
  get partial(): PartialBlob | undefined {
    return this.#attempts.current?.partial
  }

  get progress(): { size: number | undefined; held: number; pieces: number; peers: number } {
    const attempt = this.#attempts.current
    const held = attempt?.held
    return {
      size: this.#layout?.size,
      held: held?.held ?? 0,
      pieces: this.#layout?.count ?? 0,
      peers: attempt?.peers ?? 0,
    }
  }

  /** As it stands, for whoever watches. */
  get view(): TransferView {
    const attempt = this.#attempts.current
    return viewOf({
      digest: this.digest,
      repositories: this.repositories,
      layout: this.#layout,
      held: attempt?.held,
      proving: this.#attempts.proving,
      sources: this.#sources.all(),
      delayOf: (source) => attempt?.delayOf(source),
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
    this.#attempts.current?.readers([...this.#followers].map(({ piece }) => piece))
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
      await this.#attempts.run(either)
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
      await this.#attempts.check()
      this.#supply.check()
      const idleMs = this.#context.clock.now() - this.#movedMs
      if (idleMs > this.#context.giveUpMs && this.#attempts.current?.held.complete !== true) {
        const reason = `nothing came for ${Math.round(idleMs / 1000)} s`
        throw new BlobUnavailableError(this.digest, reason)
      }
    }
  }

  /** How its downloads see this transfer. */
  #attempted(): AttemptsHost {
    const transfer = this
    return {
      digest: this.digest,
      repositories: this.repositories,
      get isLed() {
        return transfer.#supply.isLed
      },
      get change() {
        return transfer.change
      },
      begins: (layout) => this.#begin(layout),
      gained: (piece, giver) => this.#gained(piece, giver),
      dropped: (source, reason) => this.#dropped(source, reason),
      disappoint: (error) => this.#disappoint(error),
      announce: () => this.#announce(),
      news: () => this.#news(),
    }
  }

  #begin(layout: Layout): void {
    // Whoever began to read was told another size.
    if (this.#layout !== undefined && this.#layout.size !== layout.size) {
      this.#disappoint(new BlobUnprovenError(this.digest))
    }
    this.#layout = layout
    this.followed()
    this.#ready.resolve(layout)
    this.#found.resolve(true)
  }

  /** How the supply sees this transfer. */
  #supplied(): SupplyHost {
    const transfer = this
    return {
      wanted: this.#wanted,
      get attempt() {
        return transfer.#attempts.current
      },
      get isListed() {
        return transfer.#attempts.isListed
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
        return transfer.#attempts.proven
      },
      get unproven() {
        return transfer.#attempts.unproven
      },
      get change() {
        return transfer.change
      },
      asked: this.#sources.asked,
      begin: (size) => this.#attempts.begin(size),
      grow: () => this.#attempts.grow(),
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
    if (this.#attempts.current !== undefined || !this.#beginning.add(part)) return
    this.#movedMs = this.#context.clock.now()
    this.#layout ??= this.#beginning.layout
    if (this.#layout !== undefined) this.#ready.resolve(this.#layout)
    this.#found.resolve(true)
    this.#news()
  }

  /** Someone here lacks pieces that nobody has. */
  #isMissing(): boolean {
    if (!this.#isWanted) return false
    const attempt = this.#attempts.current
    const holding = this.#sources.holding()
    if (attempt === undefined) return holding.length === 0
    if (holding.some(({ holds }) => holds.held.complete)) return false
    return attempt.firstAbsent() !== undefined
  }

  #heard(source: Source, event: WantEvent): void {
    if (event.type === 'bytes') this.#movedMs = this.#context.clock.now()
    if (isHolding(source)) this.#found.resolve(true)
    this.#attempts.heard(source, event)
    if (isNews.has(event.type) || this.#supply.isLed) this.#news()
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
    this.#attempts.current?.leave(source)
    this.#sources.shun(source, 'for-good')
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
