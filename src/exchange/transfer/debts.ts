/**
 * Which of the peers that hold a blob owe this node something for longer than that should take, and so keep no place from others:
 * to say that one has all of it costs nothing.
 *
 * What it should take is what others needed until their piece was proven; while none has given any, what peers need for a word.
 */
import type { Clock } from '../../base/base.ts'
import { maxNeighbours } from '../picker/neighbourhood.ts'
import { ServiceMeter } from '../picker/service-meter.ts'
import type { HoldingSource, Source } from './source.ts'

export interface DebtsOptions {
  clock: Clock
  holding(): HoldingSource[]
  /** Nothing is asked of it for so long, unless that is 0; what it sends all the same is taken. */
  onPause(source: Source, ms: number): void
}

const patience = { factor: 4, leastMs: 150, mostMs: 5000 }
const pauseMs = 5000

export class Debts {
  readonly #options: DebtsOptions
  /** Since when, as far as pieces go. */
  readonly #since = new WeakMap<Source, number>()
  readonly #givers = new WeakSet<Source>()
  readonly #paused = new WeakSet<Source>()
  readonly #pieces = new ServiceMeter()
  readonly #answers = new ServiceMeter()
  #hasGiver = false
  /** How many there were at the last look. */
  #overdue = 0

  constructor(options: DebtsOptions) {
    this.#options = options
  }

  /** Whether there are as many as places, and none has ever given anything. */
  get isHungry(): boolean {
    return !this.#hasGiver && this.#options.holding().length >= maxNeighbours
  }

  /** Those that hold something and are not overdue. */
  neighbours(): HoldingSource[] {
    return this.#options.holding().filter((source) => !this.isOverdue(source))
  }

  /** For neighbours: twice as many each time that none has given anything. */
  get places(): number {
    return maxNeighbours + (this.#hasGiver ? 0 : this.#options.holding().length - this.neighbours().length)
  }

  /** Those that may go: where others give, and `most` of them where nobody does. */
  spare(most: number): HoldingSource[] {
    const holding = this.#options.holding()
    const overdue = holding.filter((source) => this.isOverdue(source))
    // Whatever came from others, somebody has to have the rest.
    const isServed = holding.some(
      (source) => source.holds.held.complete && this.#givers.has(source) && !overdue.includes(source),
    )
    const spare = overdue.filter(({ holds }) => this.#hasGiver && (isServed || !holds.held.complete))
    return spare.length > 0 ? spare : overdue.slice(0, Math.max(0, most))
  }

  /** Asks nothing more of those that are overdue until they give something, or for a while. */
  pause(): void {
    for (const source of this.#options.holding()) {
      if (!this.isOverdue(source)) continue
      this.#paused.add(source)
      this.#options.onPause(source, pauseMs)
    }
  }

  /** To be called now and then, as what is asked is only seen so. Returns whether more are overdue than before. */
  look(): boolean {
    const holding = this.#options.holding()
    for (const source of holding) {
      if (source.want.waiting === 0) this.#since.delete(source)
      else if (!this.#since.has(source)) this.#since.set(source, this.#options.clock.now())
    }
    const overdue = holding.filter((source) => this.isOverdue(source)).length
    const areMore = overdue > this.#overdue
    this.#overdue = overdue
    return areMore
  }

  /** A peer has said what it holds, so long after it was asked. */
  answered(ms: number): void {
    this.#answers.add(1, ms)
  }

  /** A piece of the peer was proven. */
  gave(source: Source): void {
    const nowMs = this.#options.clock.now()
    const sinceMs = this.#since.get(source)
    if (sinceMs !== undefined) {
      this.#pieces.add(1, nowMs - sinceMs)
      this.#since.set(source, nowMs)
    }
    this.#givers.add(source)
    this.#hasGiver = true
    if (this.#paused.delete(source)) this.#options.onPause(source, 0)
  }

  isOverdue(source: Source): boolean {
    const never = Number.POSITIVE_INFINITY
    const listMs = source.list === 'asked' ? source.listAskedMs : never
    const sinceMs = Math.min(listMs, this.#since.get(source) ?? never)
    const { factor, leastMs, mostMs } = patience
    const usualMs = this.#pieces.p90Ms ?? this.#answers.p90Ms ?? leastMs
    return this.#options.clock.now() - sinceMs > Math.min(mostMs, Math.max(leastMs, factor * usualMs))
  }
}
