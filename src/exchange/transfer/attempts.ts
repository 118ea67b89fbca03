/** The downloads of one blob, one after another, each under one list, until one makes up the blob. */
import { type Clock, fromUpstream, type Metrics, type TokenBucket, unlessAborted } from '../../base/base.ts'
import type { PartialBlob, Partials } from '../../store/store.ts'
import type { Providers } from '../contract.ts'
import { BlobUnavailableError } from '../errors.ts'
import type { Faults } from '../peer/faults.ts'
import type { FramePool } from '../peer/frame-pool.ts'
import type { WantEvent } from '../peer/want.ts'
import type { DownloadLimits, DropReason } from '../picker/download-events.ts'
import type { Inventory } from '../seeding/inventory.ts'
import { Attempt } from './attempt.ts'
import type { Candidate } from './list-candidates.ts'
import { ListChoice } from './list-choice.ts'
import type { ListSearch } from './list-search.ts'
import type { MemoryBudget } from './memory-budget.ts'
import { Proofs, type ProofsOptions } from './proofs.ts'
import { type HoldingSource, isHolding, type Source } from './source.ts'
import type { Sources } from './sources.ts'
import type { TransferState } from './transfer-state.ts'

export interface AttemptsOptions extends ProofsOptions {
  partials: Partials
  inventory: Inventory
  memory: MemoryBudget
  /** Gets memory back that pieces came in. */
  pool: Pick<FramePool, 'give'>
  budget?: TokenBucket
  limits: Partial<DownloadLimits>
  faults: Faults
  providers: Pick<Providers, 'announce'>
  clock: Clock
  self: string
  random(): number
  metrics: Metrics
}

/** In flight for one transfer: what a fast link takes in half a second. */
const mostBytes = 16 * 1024 * 1024

export class Attempts {
  readonly choice: ListChoice
  readonly #state: TransferState
  readonly #sources: Sources
  readonly #search: ListSearch
  readonly #proofs: Proofs
  readonly #options: AttemptsOptions
  #isAnnounced = false

  constructor(state: TransferState, sources: Sources, search: ListSearch, options: AttemptsOptions) {
    this.choice = new ListChoice(state, sources, search, options.clock)
    this.#state = state
    this.#sources = sources
    this.#search = search
    this.#proofs = new Proofs(state, search, options)
    this.#options = options
  }

  /** Until the blob is in the store. Throws what cannot be helped by another list. */
  async run(signal: AbortSignal): Promise<void> {
    const state = this.#state
    try {
      while (!state.isProven) await this.#try(await this.choice.next(signal), signal)
    } finally {
      // Nothing stays on the disk that is known to be another blob.
      if (this.#search.isWrong && !state.isProven) await this.#options.partials.drop(state.digest)
    }
  }

  /** To be called now and then. */
  async check(): Promise<void> {
    const { now } = this.#state
    if (now.name === 'searching') this.choice.check()
    if (now.name !== 'downloading') return
    const { attempt } = now
    attempt.wake()
    this.#show(attempt)
    this.choice.compare(attempt)
    this.#search.grow(attempt.candidate)
    await this.#proofs.keep(attempt.candidate)
  }

  heard(source: Source, event: WantEvent): void {
    this.#search.heard(source, event)
    const { attempt } = this.#state
    if (attempt === undefined) return
    const { candidate } = attempt
    if (event.type === 'holds' && isHolding(source)) this.#join(attempt, source)
    else attempt.heard(source, event)
    const isAhead = event.type === 'has' && event.pieces.some((piece) => piece >= candidate.list.known)
    if (isAhead) this.#search.grow(candidate)
  }

  /** A list has come, or grown. */
  reconsider(): void {
    const { now } = this.#state
    if (now.name !== 'downloading') {
      this.#state.news()
      return
    }
    const { attempt } = now
    const { candidate } = attempt
    attempt.learn()
    for (const source of this.#sources.holding()) {
      if (this.#search.isDoubted(source, candidate)) attempt.leave(source)
      else if (!attempt.has(source) || this.#search.dissentOf(source, candidate)) this.#join(attempt, source)
    }
    this.choice.compare(attempt)
  }

  /** Downloads under one list, until the blob is in the store, the list proves wrong, or another is to be believed. */
  async #try(candidate: Candidate, signal: AbortSignal): Promise<void> {
    const { inventory, memory, pool, clock, self, random, budget, limits } = this.#options
    const state = this.#state
    const { pieceBytes } = candidate.list.layout
    using lease = await memory.lend({ least: 2 * pieceBytes, most: mostBytes, signal })
    await using partial = await this.#open(candidate)
    if (partial === undefined) return
    const attempt = new Attempt({
      candidate,
      partial,
      pool,
      limits: { ...limits, maxBytes: Math.max(1, lease.bytes - pieceBytes) },
      clock,
      self,
      fellows: () => this.#sources.fellows(),
      isFar: (peer) => this.#sources.isFar(peer),
      random,
      budget,
      onWrite: (piece, giver) => state.writes(piece, giver),
      onGained: (piece, giver) => this.#gained(attempt, piece, giver),
      onWrong: (source, piece, by) => this.#search.suspect(source, piece, by),
      onDrop: (source, reason) => this.#dropped(source, reason),
    })
    try {
      await this.#proofs.keep(candidate, { everyMs: 0 })
      this.#begin(attempt)
      await unlessAborted(Promise.race([attempt.over, this.choice.whileBelieved(attempt)]), signal)
      await attempt.close()
      if (attempt.held.complete && (await this.#proofs.prove(attempt))) this.#announce()
    } finally {
      await attempt.close()
      candidate.kept = attempt.held.pieces()
      if (!attempt.held.complete) await this.#proofs.keep(candidate, { everyMs: 0 })
      state.go({ name: 'searching' })
      inventory.end(state.digest, { proven: state.isProven })
    }
  }

  /** The part that the list tells of; `undefined` when there is no room for that. */
  async #open(candidate: Candidate): Promise<PartialBlob | undefined> {
    const { list, kept: claimed } = candidate
    const { size, pieceBytes } = list.layout
    const plan = { digest: this.#state.digest, size, pieceBytes, hashes: list.hashes.slice(), claimed }
    try {
      return await this.#options.partials.open(plan)
    } catch (error) {
      if (!hasCode(error, 'STORE_FULL')) throw error
      this.choice.refuse(candidate, error)
      return undefined
    }
  }

  #begin(attempt: Attempt): void {
    const state = this.#state
    this.choice.follow()
    state.go({ name: 'downloading', attempt })
    this.#options.inventory.begin(state.digest, {
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
    for (const source of this.#sources.holding()) this.#join(attempt, source)
    this.#show(attempt)
    attempt.learn()
    state.news()
  }

  #join(attempt: Attempt, source: HoldingSource): void {
    const allows = this.#search.allows(source, attempt.candidate)
    if (allows !== undefined) attempt.join(source, allows)
  }

  #gained(attempt: Attempt, piece: number, giver: string): void {
    const { clock, metrics, inventory } = this.#options
    this.#state.movedMs = clock.now()
    metrics.count('shoal_exchange_pieces_total', { source: giver === fromUpstream ? 'upstream' : 'peer' })
    this.#announce()
    this.#sources.gave(giver)
    inventory.gained(this.#state.digest, piece)
    this.#state.gained(piece)
    this.#show(attempt)
  }

  #dropped(source: Source, reason: DropReason): void {
    const { digest } = this.#state
    this.#options.faults.add(source.peer, reason, { digest })
    this.#sources.shun(source, 'for-now')
    if (reason === 'stalled') source.link.abort(new BlobUnavailableError(digest, 'the peer is silent'))
  }

  /** Only what has given a piece, or comes from the origin, is shown: whoever was told a wrong size would have to be cut off. */
  #show({ candidate, held }: Attempt): void {
    const { origin } = this.#state
    if (held.held > 0 || held.complete || origin !== undefined) this.#state.show(candidate.list.layout)
  }

  /** Others can have some of it from here. */
  #announce(): void {
    if (!this.#isAnnounced) this.#options.providers.announce(this.#state.digest)
    this.#isAnnounced = true
  }
}

function hasCode(error: unknown, code: string): error is Error {
  return error instanceof Error && 'code' in error && error.code === code
}
