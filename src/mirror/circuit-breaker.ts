/** Whether an upstream answers. Once it failed, one question at a time finds out whether it is back, and nobody waits for that. */
import { type Clock, RecentMap } from '../base/base.ts'
import { type Failure, failure } from './messages.ts'

/** Until it is tried again: doubled with each failure in a row. */
const firstPauseMs = 2_000
const maxPauseMs = 30_000
/** An upstream that is slow is asked by each node itself for no longer. */
const mistrustMs = 5 * 60_000

export const silence: Failure = failure('unreachable', 'does not answer')

export class CircuitBreaker {
  readonly #clock: Clock
  #failure: Failure | undefined
  #failures = 0
  #retryAtMs = 0
  /** When it is to be had again, as was said; tried it may be before. */
  #awayUntilMs = 0
  #isHearsay = false
  #isSlow = false
  #mistrustedUntilMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The last failure, until an answer comes. While there is one, whoever has something older to serve serves it at once. */
  get failure(): Failure | undefined {
    if (this.#failure === undefined) return undefined
    const { trouble, reason } = this.#failure
    return failure(trouble, reason, this.#awayUntilMs - this.#clock.now())
  }

  /** Whether only others have said so, or have let somebody wait in vain not long ago. */
  get isDoubtful(): boolean {
    const isHearsay = this.#failure !== undefined && this.#isHearsay
    return isHearsay || this.#clock.now() < this.#mistrustedUntilMs
  }

  /** Whether all that is known of it is that it does not answer at once. */
  get isSlow(): boolean {
    return this.#failure !== undefined && this.#isSlow
  }

  /**
   * No answer came in time, `byOthers` when they were asked for it: then they are not waited for alone for a while. `isCheck` for
   * one that was not waited for as long as what is not here. Returns what to say.
   */
  late({ byOthers, isCheck }: { byOthers: boolean; isCheck: boolean }): Failure {
    this.failed(silence, { isHearsay: byOthers })
    this.#isSlow = isCheck
    if (byOthers) this.mistrust()
    return silence
  }

  /** For a while others are not waited for alone. */
  mistrust(): void {
    this.#mistrustedUntilMs = this.#clock.now() + mistrustMs
  }

  /** True when the upstream may be asked. After a failure that is so once in a while, for the one who is told so. */
  mayAsk(): boolean {
    if (this.#failure === undefined) return true
    if (this.#clock.now() < this.#retryAtMs) return false
    this.#retryAtMs = this.#clock.now() + this.#pauseMs()
    this.#awayUntilMs = Math.max(this.#awayUntilMs, this.#retryAtMs)
    return true
  }

  /** However long others say that it is away, it is tried soon. */
  failed(failure: Failure, { isHearsay = false }: { isHearsay?: boolean } = {}): void {
    this.#failure = failure
    this.#failures++
    this.#isHearsay = isHearsay
    this.#isSlow = false
    const awayMs = failure.retryAfterMs ?? this.#pauseMs()
    this.#awayUntilMs = this.#clock.now() + awayMs
    this.#retryAtMs = this.#clock.now() + (isHearsay ? Math.min(awayMs, maxPauseMs) : awayMs)
  }

  answered(): void {
    this.#failure = undefined
    this.#failures = 0
  }

  #pauseMs(): number {
    return Math.min(firstPauseMs * 2 ** Math.max(0, this.#failures - 1), maxPauseMs)
  }
}

/** Members claim upstreams of any name, and clients ask for them. */
const maxBreakers = 1_000

/** One for each upstream, for whatever is asked of it. */
export class CircuitBreakers {
  readonly #clock: Clock
  readonly #breakers = new RecentMap<string, CircuitBreaker>(maxBreakers)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  of(upstream: string): CircuitBreaker {
    const breaker = this.#breakers.get(upstream) ?? new CircuitBreaker(this.#clock)
    this.#breakers.set(upstream, breaker)
    return breaker
  }
}
