/**
 * Whom the node would be connected with, and when it is tried next. Names cost a member nothing, so those that only others spoke
 * of are few, come second, and make room for each other; who was a member for long is the last to be forgotten.
 */
import type { Clock } from '../../base/base.ts'

export interface Target {
  /** Known except for a bootstrap address without one, until it has answered. */
  peer: string | undefined
  /** Of a bootstrap address. */
  address: string | undefined
  /** The longest time for which it was connected; 0 for one that only others spoke of. */
  livedMs: number
  lostMs: number
  dueMs: number
  failures: number
  /** Connections in a row that ended as soon as they stood. */
  refusals: number
  isDialling: boolean
  /** Addresses at which it was not found last. */
  tried: ReadonlySet<string>
}

type Facts = Pick<Target, 'peer' | 'address' | 'livedMs'>

export interface DialTargetsOptions {
  clock: Clock
  random: () => number
  /** Whether this node itself is banned, as far as it knows. */
  isOutcast(): boolean
  /** It will not be tried any more, and nothing but hearsay was known of it. */
  onForgotten(peer: string): void
}

const maxTargets = 1024
const maxHearsay = 256
const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs

export class DialTargets {
  readonly #options: DialTargetsOptions
  readonly #targets = new Map<string, Target>()

  constructor(options: DialTargetsOptions) {
    this.#options = options
  }

  get(key: string): Target | undefined {
    return this.#targets.get(key)
  }

  values(): Target[] {
    return [...this.#targets.values()]
  }

  /** All that lead to the peer, by its name or by a bootstrap address. */
  of(peer: string): Target[] {
    return this.values().filter((target) => target.peer === peer)
  }

  /** To be tried after `delayMs`; one that fails keeps its pace, whoever speaks of it. False when there is no room for it. */
  add(key: string, facts: Facts, delayMs: number): boolean {
    const nowMs = this.#options.clock.now()
    const known = this.#targets.get(key)
    if (known !== undefined) {
      known.livedMs = Math.max(known.livedMs, facts.livedMs)
      if (known.failures === 0 && known.refusals === 0) known.dueMs = Math.min(known.dueMs, nowMs + delayMs)
      return true
    }
    if (!this.#hasRoom(facts)) return false
    const fresh = { failures: 0, refusals: 0, isDialling: false, tried: new Set<string>(), lostMs: nowMs }
    this.#targets.set(key, { ...facts, ...fresh, dueMs: nowMs + delayMs })
    return true
  }

  delete(key: string): void {
    this.#targets.delete(key)
  }

  /** The connection stood for so long that all before it is forgotten. */
  lived(target: Target, ms: number): void {
    target.livedMs = Math.max(target.livedMs, ms)
    target.lostMs = this.#options.clock.now()
    target.failures = 0
    target.refusals = 0
  }

  /** All are tried at once, as if nothing had failed. */
  restart(): void {
    for (const target of this.#targets.values()) {
      target.failures = 0
      target.refusals = 0
      target.dueMs = this.#options.clock.now()
    }
  }

  /** The next try, after one that failed. */
  postpone(target: Target): void {
    const { clock, random } = this.#options
    const ms = Math.min(this.#longestMs(target), 500 * 2 ** Math.min(target.failures, 10))
    target.dueMs = clock.now() + ms * (0.75 + 0.5 * random())
  }

  /** A member that was lost minutes ago comes back as soon as a partition heals; one that is long gone is asked rarely. */
  #longestMs({ address, livedMs, lostMs, refusals }: Target): number {
    const goneMs = this.#options.clock.now() - lostMs
    if (this.#options.isOutcast()) return 5 * minuteMs
    if (refusals > 0) return minuteMs
    if (address !== undefined || (livedMs > 0 && goneMs < 10 * minuteMs)) return 3_000
    return goneMs < dayMs ? 30_000 : 5 * minuteMs
  }

  #hasRoom({ address, livedMs }: Facts): boolean {
    if (address !== undefined) return true
    const all = [...this.#targets].filter(([, target]) => target.address === undefined && !target.isDialling)
    const hearsay = all.filter(([, target]) => target.livedMs === 0)
    const [gone] = hearsay.sort(([, a], [, b]) => b.failures - a.failures)
    if (livedMs === 0) {
      if (hearsay.length < maxHearsay && this.#targets.size < maxTargets) return true
      // Of what was never tried none is better than another.
      if (gone === undefined || gone[1].failures === 0) return false
      this.#forget(...gone)
      return true
    }
    if (this.#targets.size < maxTargets) return true
    const [least] = gone === undefined ? all.sort(([, a], [, b]) => a.livedMs - b.livedMs) : [gone]
    if (least === undefined || least[1].livedMs > livedMs) return false
    this.#forget(...least)
    return true
  }

  #forget(key: string, { peer, livedMs }: Target): void {
    this.#targets.delete(key)
    if (peer !== undefined && livedMs === 0) this.#options.onForgotten(peer)
  }
}
