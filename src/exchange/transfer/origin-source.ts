/** What comes into a transfer from the origin: whom to have it brought by, and one run for all who want this node to do it. */
import { type Clock, unlessAborted, untilOrAfter } from '../../base/base.ts'
import type { LeadOptions, Origin, Outside } from '../contract.ts'
import { BlobUnavailableError, BlobUnprovenError } from '../errors.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Attempts } from './attempts.ts'
import type { MemoryBudget } from './memory-budget.ts'
import { OriginPieces, type OriginPiecesHost, type Tail } from './origin-pieces.ts'

/** The transfer that is supplied. */
export interface OriginSourceHost extends OriginPiecesHost {
  readonly wanted: Wanted
  readonly attempts: Attempts
  /** A reader here lacks pieces that no member has. */
  readonly isMissing: boolean
  /** Resolves when every member has said whether it holds any of it. */
  readonly asked: Promise<void>
  /** Something came. */
  moved(): void
  /** It is neither in the cluster nor outside. */
  nowhere(): void
}

export interface OriginSourceOptions {
  outside?: Outside
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

const tickMs = 50
/** Members that do not answer hold it back for so long that a blob is brought from the origin. */
const askedMs = 1000
/** With what others have of it, and then without. */
const maxTries = 2

export class OriginSource {
  readonly #host: OriginSourceHost
  readonly #options: OriginSourceOptions
  readonly #begun = Promise.withResolvers<void>()
  #shared: SharedOrigin | undefined

  constructor(host: OriginSourceHost, options: OriginSourceOptions) {
    this.#host = host
    this.#options = options
  }

  /** Whether the blob can come from the origin at all. */
  get isPossible(): boolean {
    return this.#options.outside?.has(this.#host.wanted.repository) === true
  }

  /** This node brings it now. */
  get isOrigin(): boolean {
    return this.#shared !== undefined
  }

  /** What was kept of the blob is known: before, nobody can say what is missing. */
  begin(): void {
    this.#begun.resolve()
  }

  /** Call it now and then. */
  check(): void {
    if (this.#shared?.check() === true) this.#host.moved()
  }

  /** What has come of a piece that is not whole yet: a copy. */
  tail(position: number, end: number): Tail | undefined {
    return this.#shared?.tail(position, end)
  }

  /** Brings it here for the whole cluster; see `Exchange`. */
  async lead(origin: Origin, options: LeadOptions): Promise<boolean> {
    await unlessAborted(this.#begun.promise, options.signal)
    const { wanted, attempts } = this.#host
    // What is here may have come for a repository that others may not read: its upstream says whether this one has it.
    const isDoubtful = this.#shared === undefined && attempts.isListed
    if (isDoubtful && !(await this.#options.admits(wanted, origin, options.signal))) return false
    this.#shared ??= this.#share(origin)
    this.#host.state.news()
    return await this.#shared.join(options)
  }

  /** Has it brought, by whomever, whenever pieces are missing that no member has. */
  async run(signal: AbortSignal): Promise<void> {
    const { outside, clock } = this.#options
    if (outside === undefined || !this.isPossible) return
    const host = this.#host
    await this.#untilAsked(signal)
    for (;;) {
      while (this.isOrigin || !host.isMissing) await clock.sleep(tickMs, { signal })
      const isThere = await outside.bring(host.wanted, {
        signal,
        lead: async (origin, options) => await this.lead(origin, options),
        hasBegun: () => (host.state.attempt ?? host.state.layout) !== undefined,
        onProgress: () => host.moved(),
      })
      if (!isThere) {
        host.nowhere()
        throw new BlobUnavailableError(host.wanted.digest, 'it is neither in the cluster nor outside')
      }
      await clock.sleep(tickMs, { signal })
    }
  }

  #share(origin: Origin): SharedOrigin {
    const { originMemory: memory, clock, stallMs, over } = this.#options
    const host = this.#host
    const { state } = host
    const { proofs } = host.attempts
    const isProven = (): boolean => state.now.name === 'proven'
    const pieces = new OriginPieces({ host, origin, memory, clock, stallMs })
    return new SharedOrigin(pieces, async (stop) => {
      const signal = AbortSignal.any([stop, over])
      try {
        await this.#untilAsked(signal)
        for (let tries = 1; ; tries++) {
          const before = proofs.unproven
          if (!(await pieces.run({ signal }))) return false
          while (!isProven() && proofs.unproven === before) await unlessAborted(state.change, signal)
          if (isProven()) return true
          // What others had from the origin may have been wrong, and this node's be right.
          if (proofs.isOwnWrong || tries >= maxTries) throw new BlobUnprovenError(host.wanted.digest)
        }
      } finally {
        this.#shared = undefined
        state.news()
      }
    })
  }

  /** What was kept is known, and every member has said whether it holds any of it, or has had time enough. */
  async #untilAsked(signal: AbortSignal): Promise<void> {
    await unlessAborted(this.#begun.promise, signal)
    await untilOrAfter(this.#host.asked, askedMs, { clock: this.#options.clock, signal })
  }
}

/** One run for all who want this node to bring a blob from its origin: it ends when the last of them has left. */
class SharedOrigin {
  readonly #pieces: OriginPieces
  readonly #stop = new AbortController()
  readonly #users = new Set<LeadOptions>()
  readonly #done: Promise<boolean>
  #told = 0

  /** `run` goes on until it is stopped or over. */
  constructor(pieces: OriginPieces, run: (signal: AbortSignal) => Promise<boolean>) {
    this.#pieces = pieces
    this.#done = run(this.#stop.signal)
    // Whoever waits for it hears of a failure.
    this.#done.catch(() => undefined)
  }

  async join(options: LeadOptions): Promise<boolean> {
    this.#users.add(options)
    try {
      return await unlessAborted(this.#done, options.signal)
    } finally {
      this.#users.delete(options)
      if (this.#users.size === 0) {
        this.#stop.abort(new BlobUnavailableError(this.#pieces.digest, 'nobody wants it brought any more'))
      }
    }
  }

  tail(position: number, end: number): Tail | undefined {
    return this.#pieces.tail(position, end)
  }

  /** Call it now and then. Returns whether more has come since the last time. */
  check(): boolean {
    this.#pieces.check()
    const isMore = this.#pieces.received > this.#told
    this.#told = this.#pieces.received
    if (isMore) for (const { onProgress } of this.#users) onProgress?.()
    return isMore
  }
}
