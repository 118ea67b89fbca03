/**
 * One blob on its way into the store: puts together who is asked for it, the downloads under the lists that are believed, and what
 * comes from the origin where no member has it. Its `state` is what readers see of it.
 */
import { inStep } from '../../base/base.ts'
import type { Verifier } from '../../wire/wire.ts'
import type { Providers } from '../contract.ts'
import { BlobUnavailableError } from '../errors.ts'
import type { WantEvent } from '../peer/want.ts'
import type { Wanted } from '../protocol/wanted.ts'
import { Attempts, type AttemptsOptions } from './attempts.ts'
import type { Liars } from './list-candidates.ts'
import { ListSearch } from './list-search.ts'
import { OriginSource, type OriginSourceOptions } from './origin-source.ts'
import { isHolding, type Source } from './source.ts'
import { Sources, type SourcesOptions } from './sources.ts'
import { TransferState } from './transfer-state.ts'
import { type TransferView, viewOf } from './transfer-view.ts'

/** What all transfers of a node share. */
export interface TransferContext
  extends Omit<SourcesOptions, 'wanted' | 'refuses' | 'onEvent'>,
    Omit<OriginSourceOptions, 'over'>,
    AttemptsOptions {
  liars: Liars
  verifier: Verifier
  providers: Providers
  /** A transfer to which nothing comes for this long fails. */
  giveUpMs: number
}

const tickMs = 100
/** A link that brings less is none. */
const leastBytesPerMs = 4
/** What readers, the origin and those who choose a list wait for; pieces are told as they are gained. */
const isNews = new Set<WantEvent['type']>(['holds', 'absent', 'list', 'no-list', 'ended'])

export class Transfer {
  readonly state: TransferState
  readonly origin: OriginSource
  readonly #context: TransferContext
  readonly #sources: Sources
  readonly #search: ListSearch
  readonly #attempts: Attempts
  readonly #over = new AbortController()

  constructor(wanted: Wanted, context: TransferContext) {
    this.#context = context
    this.state = new TransferState(wanted, context.clock.now())
    this.#sources = new Sources({
      ...context,
      wanted,
      hasOrigin: context.delegation?.covers(wanted.repository) === true,
      refuses: (peer) => context.liars.has(peer, wanted.digest),
      onEvent: (source, event) => this.#heard(source, event),
    })
    this.#search = new ListSearch(this.state, this.#sources, {
      ...context,
      onFound: () => this.#attempts.reconsider(),
      onDisproved: (candidate) => this.#attempts.choice.abandon(candidate),
    })
    this.#attempts = new Attempts(this.state, this.#sources, this.#search, context)
    const { choice } = this.#attempts
    const parts = { state: this.state, sources: this.#sources, search: this.#search, choice }
    this.origin = new OriginSource(parts, { ...context, over: this.#over.signal })
    // With another way to have it, it is not known to be nowhere before that has failed, too.
    if (!this.origin.isPossible) void this.#sources.search.found.then((isFound) => this.state.find(isFound))
  }

  /** As it stands, for whoever watches. */
  get view(): TransferView {
    return viewOf(this.state, this.#sources.all())
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
    this.state.attempt?.fellowsChanged()
  }

  /** A peer that asked for this blob does so no more. */
  ceased(): void {
    this.state.attempt?.fellowsChanged()
  }

  /** To its end, or until stopped, which keeps the part. Never throws: see `state`. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    const either = AbortSignal.any([signal, this.#over.signal])
    const beside = [this.#sources.search.run(either), this.#tick(either), this.origin.run(either)].map(
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
      await this.#search.recall()
      this.origin.begin()
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

  async #tick(signal: AbortSignal): Promise<void> {
    const { clock, giveUpMs } = this.#context
    for (;;) {
      await clock.sleep(inStep(tickMs, clock.now()), { signal })
      this.#sources.check()
      await this.#attempts.check()
      this.origin.check()
      if (this.state.attempt?.isSated === true) this.state.movedMs = clock.now()
      const idleMs = clock.now() - this.state.movedMs
      if (idleMs > giveUpMs) {
        const reason = `nothing came for ${Math.round(idleMs / 1000)} s`
        throw new BlobUnavailableError(this.state.digest, reason)
      }
    }
  }

  #heard(source: Source, event: WantEvent): void {
    const { state } = this
    if (event.type === 'bytes') {
      // Nobody knows yet whether they are right: they put off giving up by as long as a slow link takes for them.
      state.movedMs = Math.min(this.#context.clock.now(), state.movedMs + event.bytes / leastBytesPerMs)
    }
    if (isHolding(source)) state.find(true)
    this.#attempts.heard(source, event)
    if (isNews.has(event.type) || state.origin !== undefined) state.news()
  }

  #fail(error: unknown): void {
    this.#over.abort(this.state.fail(error))
  }
}
