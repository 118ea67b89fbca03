/** Whether an upstream may be asked now: not before the time it named, and not again and again while it is away. */
import type { Clock } from '../base/base.ts'
import { type UpstreamTrouble, UpstreamUnavailableError } from './errors.ts'
import { limitsOf } from './rate-limits.ts'
import type { AnswerHeaders } from './transport.ts'
import type { UpstreamChange, UpstreamStatus } from './upstream.ts'

const firstAwayMs = 1_000
const maxAwayMs = 5_000
/** No upstream is believed that wants to be left alone for longer. */
const maxPauseMs = 24 * 3_600_000

export class Availability {
  readonly #name: string
  readonly #clock: Clock
  readonly #tell: (change: UpstreamChange) => void
  #reachable: boolean | undefined
  #lastError: string | undefined
  #pausedUntilMs = 0
  /** The next one may try after this, and whoever comes meanwhile is told at once. */
  #awayUntilMs = 0
  #awayMs = firstAwayMs
  #isTried = false
  #limits: { limit?: number; remaining?: number } = {}

  #isRefusing = false

  constructor(name: string, clock: Clock, tell: (change: UpstreamChange) => void = () => undefined) {
    this.#name = name
    this.#clock = clock
    this.#tell = tell
  }

  /** Whether the credentials were not taken when they were sent last. */
  get isRefusing(): boolean {
    return this.#isRefusing
  }

  /** It let this node in. */
  taken(): void {
    if (this.#isRefusing) this.#tell({ to: 'taking' })
    this.#isRefusing = false
  }

  /** Throws UpstreamUnavailableError where no request may be sent now. `tryMs` is how long one may take that was let through. */
  check(tryMs: number): void {
    const now = this.#clock.now()
    const pauseMs = this.#pausedUntilMs - now
    if (pauseMs > 0) this.#fail('paused', `wants no request for ${Math.ceil(pauseMs / 1000)} s`, pauseMs)
    if (this.#reachable !== false) return
    if (now < this.#awayUntilMs) this.#fail('unreachable', this.#lastError ?? '', this.#awayUntilMs - now)
    // One tries for all: the others need not wait with it.
    this.#awayUntilMs = now + tryMs
    this.#isTried = true
  }

  answered(headers: AnswerHeaders): void {
    if (this.#reachable === false) this.#tell({ to: 'back' })
    this.#reachable = true
    this.#awayMs = firstAwayMs
    this.#limits = { ...this.#limits, ...limitsOf(headers) }
  }

  /** It could not be connected to, or did not answer. */
  unreachable(reason: string, options: { cause?: unknown } = {}): UpstreamUnavailableError {
    // Those that were under way when the first one failed tell nothing new.
    if (this.#reachable !== false || this.#isTried) {
      this.#awayUntilMs = this.#clock.now() + this.#awayMs
      this.#awayMs = Math.min(2 * this.#awayMs, maxAwayMs)
    }
    if (this.#reachable !== false) this.#tell({ to: 'away', reason })
    this.#reachable = false
    this.#isTried = false
    return this.trouble('unreachable', reason, options)
  }

  /** It asks to wait. */
  pause(reason: string, ms: number): UpstreamUnavailableError {
    const pauseMs = Math.min(ms, maxPauseMs)
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#clock.now() + pauseMs)
    return this.trouble('paused', reason, { retryAfterMs: pauseMs })
  }

  /** Remembers what to show, where nothing fails that could say it. */
  note(reason: string): void {
    this.#lastError = reason
  }

  /** Remembers what to show, and makes the error to throw. */
  trouble(
    trouble: UpstreamTrouble,
    reason: string,
    options: { retryAfterMs?: number; cause?: unknown } = {},
  ): UpstreamUnavailableError {
    this.#lastError = reason
    if (trouble === 'refused' && !this.#isRefusing) {
      this.#isRefusing = true
      this.#tell({ to: 'refusing', reason })
    }
    return new UpstreamUnavailableError(this.#name, trouble, reason, options)
  }

  status(): Pick<UpstreamStatus, 'reachable' | 'lastError' | 'pausedUntilMs' | 'limit' | 'remaining'> {
    const isPaused = this.#clock.now() < this.#pausedUntilMs
    return {
      reachable: this.#reachable,
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
      ...this.#limits,
      ...(isPaused ? { pausedUntilMs: this.#pausedUntilMs } : {}),
    }
  }

  #fail(trouble: UpstreamTrouble, reason: string, retryAfterMs: number): never {
    throw new UpstreamUnavailableError(this.#name, trouble, reason, { retryAfterMs })
  }
}
