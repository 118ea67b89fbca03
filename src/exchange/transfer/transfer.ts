/**
 * One blob on its way into the store, as its readers and the node see it: who may have it, the downloads under the lists that are
 * believed, and what comes from the origin where no member has it.
 */
import { fromUpstream, type Metrics } from '../../base/base.ts'
import type { Digest, Repository } from '../../oci/oci.ts'
import type { Verifier } from '../../wire/wire.ts'
import type { LeadOptions, Origin, Providers } from '../contract.ts'
import { BlobUnavailableError } from '../errors.ts'
import type { Faults } from '../peer/faults.ts'
import type { WantEvent } from '../peer/want.ts'
import type { DropReason } from '../picker/download-events.ts'
import { type Layout, pieceAt } from '../protocol/piece-size.ts'
import type { Wanted } from '../protocol/wanted.ts'
import { Attempts, type AttemptsHost, type AttemptsOptions } from './attempts.ts'
import type { Liars } from './list-candidates.ts'
import { ListSearch } from './list-search.ts'
import type { Tail } from './origin-pieces.ts'
import { OriginSource, type OriginSourceHost, type OriginSourceOptions } from './origin-source.ts'
import { isHolding, type Source, Sources, type SourcesOptions } from './sources.ts'
import { TransferState } from './transfer-state.ts'
import { type TransferView, viewOf } from './transfer-view.ts'

/** What all transfers of a node share. */
export interface TransferContext
  extends Omit<SourcesOptions, 'wanted' | 'refuses' | 'onEvent'>,
    Omit<OriginSourceOptions, 'over'>,
    AttemptsOptions {
  liars: Liars
  faults: Faults
  verifier: Verifier
  providers: Providers
  /** A transfer to which nothing comes for this long fails. */
  giveUpMs: number
  metrics: Metrics
}

const tickMs = 50
/** A link that brings less is none. */
const leastBytesPerMs = 4
/** What readers, the origin and those who choose a list wait for; pieces are told as they are gained. */
const isNews = new Set<WantEvent['type']>(['holds', 'absent', 'list', 'no-list', 'ended'])

export class Transfer {
  readonly digest: Digest
  /** On whose behalf a member let this node have it. */
  readonly repositories: Set<Repository>
  readonly state: TransferState
  readonly #context: TransferContext
  readonly #wanted: Wanted
  readonly #sources: Sources
  readonly #search: ListSearch
  readonly #attempts: Attempts
  readonly #origin: OriginSource
  /** By piece, of those that came since it began. */
  readonly #givers = new Map<number, string>()
  #announced = false
  #isWanted = false
  #isAsked = false
  #movedMs: number
  readonly #over = new AbortController()

  /** Whether members are asked for it on behalf of this repository. */
  isFor({ repository }: Wanted): boolean {
    return this.#wanted.repository === repository
  }

  constructor(wanted: Wanted, context: TransferContext) {
    this.digest = wanted.digest
    this.#wanted = wanted
    this.repositories = new Set([wanted.repository])
    this.#context = context
    this.#movedMs = context.clock.now()
    this.state = new TransferState(wanted.digest)
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
      current: () => this.state.attempt?.candidate,
      onFound: () => this.#attempts.reconsider(),
      onGuilty: (source, piece) => this.#convictSource(source, piece),
      onDisproved: (candidate) => this.#attempts.abandon(candidate),
    })
    const parts = { state: this.state, sources: this.#sources, search: this.#search }
    this.#attempts = new Attempts(this.#attemptsHost(), parts, context)
    // With another way to have it, it is not known to be nowhere before that has failed, too.
    this.#origin = new OriginSource(this.#originHost(), { ...context, over: this.#over.signal })
    void this.#sources.asked.then(() => {
      this.#isAsked = true
    })
    if (!this.#origin.isPossible) void this.#sources.found.then((isFound) => this.state.find(isFound))
  }

  /** Someone here wants it: when no member has it, it is brought from the origin. */
  want(): void {
    this.#isWanted = true
  }

  /** Brings it from the origin for the whole cluster; see `Exchange`. */
  async lead(origin: Origin, options: LeadOptions): Promise<boolean> {
    return await this.#origin.lead(origin, options)
  }

  /** What has come from the origin of a piece that is not whole yet: a copy. */
  tail(position: number, end: number): Tail | undefined {
    const tail = this.#origin.tail(position, end)
    const { layout } = this.state
    if (tail !== undefined && layout !== undefined) this.#givers.set(pieceAt(layout, position), fromUpstream)
    return tail
  }

  /** Who gave the piece; `undefined` when it was here before, or is not here. */
  giverOf(piece: number): string | undefined {
    return this.#givers.get(piece)
  }

  /** How long the last proof took; milliseconds since the epoch. */
  get proof(): { startMs: number; endMs: number } | undefined {
    return this.#attempts.proofs.last
  }

  get progress(): { size: number | undefined; held: number; pieces: number; peers: number } {
    const { attempt } = this.state
    const layout = this.#layout
    return {
      size: layout?.size,
      held: attempt?.held.held ?? 0,
      pieces: layout?.count ?? 0,
      peers: attempt?.peers ?? 0,
    }
  }

  /** As it stands, for whoever watches. */
  get view(): TransferView {
    const { attempt } = this.state
    return viewOf({
      digest: this.digest,
      repositories: this.repositories,
      layout: this.#layout,
      held: attempt?.held,
      proving: this.state.now.name === 'proving',
      sources: this.#sources.all(),
      delayOf: (source) => attempt?.delayOf(source),
    })
  }

  /** Whether the peer has said that it holds the piece. */
  isWith(peer: string, piece: number): boolean {
    return this.#sources.get(peer)?.holds?.held.has(piece) === true
  }

  /** Whether a member says that it holds some of a blob of this size. */
  isHeldWith(size: number): boolean {
    return this.#sources.holding().some(({ holds }) => holds.size === size)
  }

  /** A peer that asks for this blob may soon have some of it. */
  consider(peer: string): void {
    this.#sources.consider(peer)
  }

  /** To its end, or until stopped, which keeps the part. Never throws: see `state`. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const either = AbortSignal.any([signal, this.#over.signal])
    const beside = [
      this.#beside(this.#sources.search(either), either),
      this.#beside(this.#tick(either), either),
      this.#beside(this.#origin.run(either), either),
    ]
    try {
      await this.#search.recall()
      this.#origin.begin()
      await this.#attempts.run(either)
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#over.abort(new Error('the transfer is over'))
      await Promise.all(beside)
      this.state.find(false)
      this.#sources.close()
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
      this.#origin.check()
      const idleMs = this.#context.clock.now() - this.#movedMs
      if (idleMs > this.#context.giveUpMs && this.state.attempt?.held.complete !== true) {
        const reason = `nothing came for ${Math.round(idleMs / 1000)} s`
        throw new BlobUnavailableError(this.digest, reason)
      }
    }
  }

  /** How its downloads see this transfer. */
  #attemptsHost(): AttemptsHost {
    const transfer = this
    return {
      digest: this.digest,
      repositories: this.repositories,
      get isOrigin() {
        return transfer.#origin.isOrigin
      },
      get isAsked() {
        return transfer.#isAsked
      },
      writes: (piece, giver) => this.#givers.set(piece, giver),
      gained: (piece, giver) => this.#gained(piece, giver),
      dropped: (source, reason) => this.#dropped(source, reason),
      announce: () => this.#announce(),
    }
  }

  /** How the origin sees this transfer. */
  #originHost(): OriginSourceHost {
    const transfer = this
    return {
      wanted: this.#wanted,
      state: this.state,
      attempts: this.#attempts,
      get isElsewhere() {
        const holding = transfer.#sources.holding()
        return holding.some((source) => source.holds.held.held > 0 && !transfer.#search.isWorthless(source))
      },
      get isMissing() {
        return transfer.#isMissing()
      },
      asked: this.#sources.asked,
      moved: () => {
        this.#movedMs = this.#context.clock.now()
      },
      nowhere: () => this.state.find(false),
    }
  }

  /** As far as it is known. */
  get #layout(): Layout | undefined {
    return this.state.attempt?.candidate.list.layout ?? this.state.layout
  }

  /** Someone here lacks pieces that nobody has. */
  #isMissing(): boolean {
    if (!this.#isWanted) return false
    const { attempt } = this.state
    const holding = this.#sources.holding()
    if (attempt === undefined) return holding.length === 0
    if (holding.some(({ holds }) => holds.held.complete)) return false
    return attempt.firstAbsent() !== undefined
  }

  #heard(source: Source, event: WantEvent): void {
    if (event.type === 'bytes') this.#move(event.bytes)
    if (isHolding(source)) this.state.find(true)
    this.#attempts.heard(source, event)
    if (isNews.has(event.type) || this.#origin.isOrigin) this.state.news()
  }

  /** Bytes of which nobody knows yet whether they are right: they put off giving up by as long as a slow link takes for them. */
  #move(bytes: number): void {
    this.#movedMs = Math.min(this.#context.clock.now(), this.#movedMs + bytes / leastBytesPerMs)
  }

  #gained(piece: number, giver: string): void {
    this.#movedMs = this.#context.clock.now()
    const source = giver === fromUpstream ? 'upstream' : 'peer'
    this.#context.metrics.count('shoal_exchange_pieces_total', { source })
    this.#announce()
    this.#context.holdings.gained(this.digest, piece)
    this.state.gained(piece)
  }

  #announce(): void {
    if (this.#announced) return
    this.#announced = true
    this.#context.providers.announce(this.digest)
  }

  #dropped(source: Source, reason: DropReason): void {
    this.#context.faults.add(source.peer, reason, { digest: this.digest })
    this.#sources.shun(source, 'for-now')
    if (reason === 'stalled') source.link.abort(new BlobUnavailableError(this.digest, 'the peer is silent'))
  }

  #convictSource(source: Source, piece: number): void {
    this.#context.faults.add(source.peer, 'wrong-bytes', { digest: this.digest, piece })
    source.want.bad(piece)
    this.state.attempt?.leave(source)
    this.#sources.shun(source, 'for-good')
  }

  #fail(error: unknown): void {
    this.#over.abort(this.state.fail(error))
  }
}
