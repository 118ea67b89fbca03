/**
 * One blob on its way into the store: who is asked for it, one download after another, each under one list, until one makes up the
 * blob, and what comes from the origin where no member has it. Its `state` is what readers see of it.
 */
import { fromUpstream, inStep, type Metrics, type TokenBucket, unlessAborted } from '../../base/base.ts'
import type { PartialBlob, Partials } from '../../store/store.ts'
import type { Providers } from '../contract.ts'
import { BlobUnavailableError } from '../errors.ts'
import type { FramePool } from '../peer/frame-pool.ts'
import type { WantEvent } from '../peer/want.ts'
import { pieceLength } from '../protocol/piece-size.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Inventory } from '../seeding/inventory.ts'
import { Attempt } from './attempt.ts'
import type { Candidate } from './candidates.ts'
import { Lists, type ListsOptions } from './lists.ts'
import type { MemoryBudget } from './memory-budget.ts'
import { OriginSource, type OriginSourceOptions } from './origin-source.ts'
import { type HoldingSource, isHolding, type Source } from './source.ts'
import { Sources, type SourcesOptions } from './sources.ts'
import { TransferState } from './transfer-state.ts'

/** What all transfers of a node share. */
export interface TransferContext
  extends Omit<SourcesOptions, 'wanted' | 'hasOrigin' | 'refuses' | 'onEvent' | 'onNobody'>,
    Omit<OriginSourceOptions, 'over'>,
    Omit<ListsOptions, 'onFound'> {
  partials: Partials
  inventory: Inventory
  memory: MemoryBudget
  /** Gets memory back that pieces came in. */
  pool: Pick<FramePool, 'give'>
  budget?: TokenBucket
  providers: Providers
  metrics: Metrics
  /** A transfer to which nothing comes for this long fails. */
  giveUpMs: number
}

const tickMs = 100
/** Of the time to give up after, where not a byte came: clients wait 30 s for an answer, and are to be told why there is none. */
const silentShare = 2 / 3
/** A link that brings less is none. */
const leastBytesPerMs = 4
/** In flight for one transfer: what a fast link takes in half a second. */
const mostBytes = 16 * 1024 * 1024
/** What readers, the origin and those who choose a list wait for; pieces are told as they are gained. */
const isNews = new Set<WantEvent['type']>(['holds', 'absent', 'list', 'no-list', 'ended'])

export class Transfer {
  readonly state: TransferState
  readonly origin: OriginSource
  readonly sources: Sources
  readonly #context: TransferContext
  readonly #lists: Lists
  readonly #over = new AbortController()
  #isAnnounced = false

  constructor(wanted: Wanted, context: TransferContext) {
    this.#context = context
    this.state = new TransferState(wanted, context.clock.now())
    this.sources = new Sources({
      ...context,
      wanted,
      hasOrigin: context.delegation?.covers(wanted.repository) === true,
      // With another way to have it, it is not known to be nowhere before that has failed, too.
      onNobody: () => this.origin.isPossible || this.state.find(false),
      refuses: (peer) => context.liars.has(peer, wanted.digest),
      onEvent: (source, event) => this.#heard(source, event),
    })
    this.#lists = new Lists(this.state, this.sources, { ...context, onFound: () => this.#reconsider() })
    const parts = { state: this.state, sources: this.sources, judge: this.#lists.judge }
    this.origin = new OriginSource(parts, { ...context, over: this.#over.signal })
  }

  /** To its end, or until stopped, which keeps the part. Never throws: see `state`. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const either = AbortSignal.any([signal, this.#over.signal])
    const beside = [this.sources.search.run(either), this.#tick(either), this.origin.run(either)].map(
      async (loop) => {
        try {
          await loop
        } catch (error) {
          // Being stopped is no failure.
          if (!either.aborted) this.#fail(error)
        }
      },
    )
    try {
      await this.#lists.recall()
      this.origin.begin()
      await this.#download(either)
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#over.abort(new Error('the transfer is over'))
      await Promise.all(beside)
      this.sources.close()
    }
  }

  /** Until the blob is in the store. Throws what cannot be helped by another list. */
  async #download(signal: AbortSignal): Promise<void> {
    const { state } = this
    try {
      while (!state.isProven) await this.#try(await this.#lists.next(signal), signal)
    } finally {
      // Nothing stays on the disk that is known to be another blob.
      if (this.#lists.judge.isWrong && !state.isProven) await this.#context.partials.drop(state.digest)
    }
  }

  async #tick(signal: AbortSignal): Promise<void> {
    const { clock, giveUpMs } = this.#context
    for (;;) {
      await clock.sleep(inStep(tickMs, clock.now()), { signal })
      this.sources.check()
      await this.#check()
      this.state.origin?.check()
      if (this.state.isReading || this.state.attempt?.isSated === true) this.state.rest(clock.now())
      const idleMs = clock.now() - this.state.movedMs
      // Why an origin gives nothing is known to who asks it, who takes longer.
      const isSilent = this.state.isSilent && !this.origin.isPossible
      if (idleMs > (isSilent ? giveUpMs * silentShare : giveUpMs)) {
        const reason = `nothing came for ${Math.round(idleMs / 1000)} s`
        const isHeld = this.sources.holding().length > 0
        throw new BlobUnavailableError(this.state.digest, reason, { isHeld })
      }
    }
  }

  async #check(): Promise<void> {
    const { now } = this.state
    // Whoever looks for a list asks for some now and then.
    if (now.name === 'searching') this.state.news()
    if (now.name !== 'downloading') return
    const { attempt } = now
    attempt.wake()
    this.#show(attempt)
    this.#compare(attempt)
    this.#lists.judge.grow()
    await this.#lists.keep(attempt.candidate)
  }

  /** What a peer said or sent. */
  #heard(source: Source, event: WantEvent): void {
    const { state } = this
    if (event.type === 'bytes') {
      // Nobody knows yet whether they are right: they put off giving up by as long as a slow link takes for them.
      state.movedMs = Math.min(this.#context.clock.now(), state.movedMs + event.bytes / leastBytesPerMs)
    }
    if (isHolding(source)) state.find(true)
    const { attempt } = state
    if (!this.#lists.heard(source, event) && attempt !== undefined) {
      if (event.type === 'holds' && isHolding(source)) this.#join(attempt, source)
      else attempt.heard(source, event)
      const { known } = attempt.candidate.list
      if (event.type === 'has' && event.pieces.some((piece) => piece >= known)) this.#lists.judge.grow()
    }
    if (isNews.has(event.type) || state.origin !== undefined) state.news()
  }

  /** A list has come, or grown. */
  #reconsider(): void {
    this.state.listed(this.#lists.judge.listedBytes, this.#context.clock.now())
    const { now } = this.state
    if (now.name !== 'downloading') {
      this.state.news()
      return
    }
    const { attempt } = now
    attempt.learn()
    for (const source of this.sources.holding()) {
      if (!attempt.has(source) || this.#lists.judge.isDissenting(source)) this.#join(attempt, source)
    }
    this.#compare(attempt)
  }

  /** Whether another list is more use. */
  #compare({ isSated, peers, held }: Attempt): void {
    const isServed = peers > 0 || this.state.origin !== undefined
    this.#lists.judge.compare({ isSated, isServed, held })
    if (this.#lists.judge.isOver) this.state.news()
  }

  /** Downloads under one list, until the blob is in the store, the list proves wrong, or another is to be believed. */
  async #try(candidate: Candidate, signal: AbortSignal): Promise<void> {
    const { inventory, memory } = this.#context
    const { state } = this
    const { pieceBytes } = candidate.list.layout
    using lease = await memory.lend({ least: 2 * pieceBytes, most: mostBytes, signal })
    state.isOpening = true
    await using partial = await this.#open(candidate)
    state.isOpening = false
    if (partial === undefined) return
    const attempt = new Attempt({
      ...this.#context,
      candidate,
      partial,
      maxBytes: Math.max(1, lease.bytes - pieceBytes),
      fellows: () => this.sources.fellows(),
      isFar: (peer) => this.sources.isFar(peer),
      onWrite: (piece, giver) => state.writes(piece, giver),
      onGained: (piece, giver) => this.#gained(attempt, piece, giver),
      onWrong: (source, piece) => this.#lists.judge.mismatched(source, piece, candidate),
      onDrop: (source) => this.#dropped(source),
    })
    try {
      await this.#lists.keep(candidate, { everyMs: 0 })
      this.#begin(attempt)
      await unlessAborted(Promise.race([attempt.over, this.#whileBelieved(attempt)]), signal)
      await attempt.close()
      if (attempt.held.complete && (await this.#lists.prove(attempt))) this.#announce()
    } finally {
      await attempt.close()
      this.#lists.judge.rest()
      candidate.kept = attempt.held.pieces()
      if (!attempt.held.complete) await this.#lists.keep(candidate, { everyMs: 0 })
      state.go({ name: 'searching' })
      inventory.end(state.digest, { proven: state.isProven })
    }
  }

  /** Resolves when another list is to be tried. */
  async #whileBelieved(attempt: Attempt): Promise<void> {
    while (!this.#lists.judge.isOver && this.state.attempt === attempt) await this.state.change
  }

  /** The part that the list tells of; `undefined` when there is no room for that. */
  async #open(candidate: Candidate): Promise<PartialBlob | undefined> {
    const { list, kept: claimed } = candidate
    const { size, pieceBytes } = list.layout
    const plan = { digest: this.state.digest, size, pieceBytes, hashes: list.hashes.slice(), claimed }
    try {
      return await this.#context.partials.open(plan)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'STORE_FULL')) throw error
      this.#lists.judge.refuse(candidate, error)
      return undefined
    }
  }

  #begin(attempt: Attempt): void {
    const { state } = this
    this.#lists.judge.follow(attempt.candidate)
    state.go({ name: 'downloading', attempt })
    this.#context.inventory.begin(state.digest, {
      list: attempt.candidate.list,
      held: attempt.held,
      repositories: state.repositories,
      get isOrigin() {
        return state.origin !== undefined
      },
      chunks: (start, end, options) => attempt.partial.chunks(start, end, options),
    })
    if (attempt.held.held > 0) this.#announce()
    for (const interest of state.interests) attempt.want(interest, 1)
    attempt.readers(state.pieces())
    for (const source of this.sources.holding()) this.#join(attempt, source)
    this.#show(attempt)
    attempt.learn()
    state.news()
  }

  #join(attempt: Attempt, source: HoldingSource): void {
    const allows = this.#lists.judge.allows(source)
    if (allows === undefined) attempt.leave(source)
    else attempt.join(source, allows)
  }

  #gained(attempt: Attempt, piece: number, giver: string): void {
    const { clock, metrics, inventory } = this.#context
    this.state.movedMs = clock.now()
    this.#lists.judge.gained(pieceLength(attempt.candidate.list.layout, piece))
    metrics.count('shoal_exchange_pieces_total', { source: giver === fromUpstream ? 'upstream' : 'peer' })
    this.#announce()
    this.sources.gave(giver)
    inventory.gained(this.state.digest, piece)
    this.state.gained(piece)
    this.#show(attempt)
  }

  #dropped(source: Source): void {
    const { digest } = this.state
    this.#context.faults.add(source.peer, 'stalled', { digest })
    this.sources.shun(source, 'for-now')
    source.link.abort(new BlobUnavailableError(digest, 'the peer is silent'))
  }

  /** Only what has given a piece, or comes from the origin, is shown: whoever was told a wrong size would have to be cut off. */
  #show({ candidate, held }: Attempt): void {
    const { origin } = this.state
    if (held.held > 0 || held.complete || origin !== undefined) this.state.show(candidate.list.layout)
  }

  /** Others can have some of it from here. */
  #announce(): void {
    if (!this.#isAnnounced) this.#context.providers.announce(this.state.digest)
    this.#isAnnounced = true
  }

  #fail(error: unknown): void {
    this.#over.abort(this.state.fail(error))
  }
}
