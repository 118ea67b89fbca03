/** What comes into a transfer from the origin: whom to have it fetched by, and one run for all who want this node to do it. */
import { type Clock, inStep, unlessAborted, untilOrAfter } from '../../base/base.ts'
import type { Origin, OriginDelegation } from '../contract.ts'
import { BlobUnavailableError, BlobUnprovenError } from '../errors.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { ListJudge } from './list-judge.ts'
import type { MemoryBudget } from './memory-budget.ts'
import { OriginPieces } from './origin-pieces.ts'
import type { Source } from './source.ts'
import type { Sources } from './sources.ts'
import type { TransferState } from './transfer-state.ts'

export interface OriginParts {
  state: TransferState
  sources: Sources
  judge: ListJudge<Source>
}

export interface OriginSourceOptions {
  delegation?: OriginDelegation
  /** Of its own: pieces that waited for what its transfer holds would wait for ever. */
  originMemory: MemoryBudget
  /** Whether the repository may have the blob: this node knows so, or the origin has it. */
  admits(wanted: Wanted, origin: Origin, signal: AbortSignal): Promise<boolean>
  /** An origin that sends nothing for so long has stalled. */
  stallMs: number
  clock: Clock
  /** Aborts when the transfer is over. */
  over: AbortSignal
}

/** One run for all who want this node to fetch the blob: it ends when the last of them has left. */
interface Run {
  users: number
  readonly stop: AbortController
  readonly done: Promise<boolean>
}

/** On the beats of the transfer. */
const tickMs = 100
/** Members that do not answer hold it back for so long that a blob is brought from the origin. */
const askedMs = 1000

export class OriginSource {
  readonly #parts: OriginParts
  readonly #options: OriginSourceOptions
  readonly #begun = Promise.withResolvers<void>()
  #run: Run | undefined

  constructor(parts: OriginParts, options: OriginSourceOptions) {
    this.#parts = parts
    this.#options = options
  }

  /** Whether the blob can come from the origin at all. */
  get isPossible(): boolean {
    return this.#options.delegation?.covers(this.#wanted.repository) === true
  }

  /** What was kept of the blob is known: before, nobody can say what is missing. */
  begin(): void {
    this.#begun.resolve()
  }

  /** Fetches it for the whole cluster; see `Exchange`. */
  async fetchFromOrigin(origin: Origin, { signal }: { signal: AbortSignal }): Promise<boolean> {
    await unlessAborted(this.#begun.promise, signal)
    // What is here may have come for a repository that others may not read: its upstream says whether this one has it.
    const isDoubtful = this.#run === undefined && this.#parts.judge.isListed
    if (isDoubtful && !(await this.#options.admits(this.#wanted, origin, signal))) return false
    this.#run ??= this.#start(origin)
    this.#parts.state.news()
    const run = this.#run
    run.users++
    try {
      return await unlessAborted(run.done, signal)
    } finally {
      run.users--
      if (run.users === 0) {
        run.stop.abort(new BlobUnavailableError(this.#wanted.digest, 'nobody wants it brought any more'))
      }
    }
  }

  /** Has it brought, by whomever, whenever pieces are missing that no member has. */
  async run(signal: AbortSignal): Promise<void> {
    const { delegation, clock } = this.#options
    const { state } = this.#parts
    if (delegation === undefined || !this.isPossible) return
    await this.#untilAsked(signal)
    for (;;) {
      while (this.#run !== undefined || !this.#isMissing)
        await clock.sleep(inStep(tickMs, clock.now()), { signal })
      const isThere = await delegation.fetch(this.#wanted, {
        signal,
        fetchFromOrigin: async (origin, options) => await this.fetchFromOrigin(origin, options),
        idleMs: () => (state.layout === undefined ? undefined : clock.now() - state.movedMs),
      })
      if (!isThere)
        throw new BlobUnavailableError(state.digest, 'it is neither in the cluster nor at its origin')
      await clock.sleep(inStep(tickMs, clock.now()), { signal })
    }
  }

  get #wanted(): Wanted {
    return this.#parts.state.wanted
  }

  /** Someone here lacks pieces that nobody has. */
  get #isMissing(): boolean {
    const { state, sources, judge } = this.#parts
    if (!state.isWanted) return false
    const holding = sources.holding()
    if (state.attempt === undefined) return holding.length === 0 || judge.isHopeless
    return !holding.some(({ holds }) => holds.held.complete) && state.attempt.firstAbsent() !== undefined
  }

  #start(origin: Origin): Run {
    const { originMemory: memory, clock, stallMs, over } = this.#options
    const { state } = this.#parts
    const stop = new AbortController()
    const pieces = new OriginPieces(this.#parts, { origin, memory, clock, stallMs })
    state.origin = pieces
    const done = this.#fetch(pieces, AbortSignal.any([stop.signal, over]))
    // Whoever waits for it hears of a failure.
    done.catch(() => undefined)
    return { users: 0, stop, done }
  }

  async #fetch(pieces: OriginPieces, signal: AbortSignal): Promise<boolean> {
    const { state, judge } = this.#parts
    try {
      await this.#untilAsked(signal)
      for (;;) {
        const before = judge.unproven
        if (!(await pieces.run({ signal }))) return false
        while (!state.isProven && judge.unproven === before) await unlessAborted(state.change, signal)
        if (state.isProven) return true
        // What others had from the origin may have been wrong, and this node's be right: after some of that it is gone by alone.
        if (judge.isOwnWrong) throw new BlobUnprovenError(state.digest)
      }
    } finally {
      this.#run = undefined
      state.origin = undefined
      state.news()
    }
  }

  /** What was kept is known, and every member has said whether it holds any of it, or has had time enough. */
  async #untilAsked(signal: AbortSignal): Promise<void> {
    await unlessAborted(this.#begun.promise, signal)
    await untilOrAfter(this.#parts.sources.search.asked, askedMs, { clock: this.#options.clock, signal })
  }
}
