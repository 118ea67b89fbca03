/**
 * Whether this node's clock is that of the members, which say theirs when ledgers are reconciled.
 *
 * What was heard is kept against the steady clock, so that a step of this host's clock, wrong or right, counts at once. Keys
 * cost nothing, so members have no say by number: this node and three others vote, first those that the operator or the
 * policy names, then those known longest. Whoever knows one honest member is safe from any number of strangers. A clock is
 * wrong when more say so than not; where as many do, when all of them are named: a node that has joined yields to the one
 * that it joined through, and not that one to it.
 */
import type { Clock } from '../base/base.ts'

/** Half of what members tolerate before they refuse a record. */
const maxOffMs = 150_000
const maxVotes = 3
const maxHeard = 256

export interface TimeWitnesses {
  isConnected(peer: string): boolean
  /** Named in the token, in the settings or in the policy. */
  isNamed(peer: string): boolean
}

interface Heard {
  /** Ahead of the steady clock. */
  aheadMs: number
  isNamed: boolean
}

export class MembersTime {
  readonly #clock: Clock
  readonly #steady: Clock
  /** In the order in which they were first heard. */
  readonly #heard = new Map<string, Heard>()
  readonly #listeners = new Set<() => void>()
  #witnesses: TimeWitnesses = { isConnected: () => false, isNamed: () => false }

  constructor(clock: Clock, steady: Clock) {
    this.#clock = clock
    this.#steady = steady
  }

  /** Until then nobody has a say. */
  trust(witnesses: TimeWitnesses): void {
    this.#witnesses = witnesses
  }

  /** How far this host's clock is ahead of the steady one: changes when it is set. */
  get stepMs(): number {
    return this.#clock.now() - this.#steady.now()
  }

  /** `aheadMs`: how far the member's clock is ahead of this one now. */
  hear(peer: string, aheadMs: number): void {
    const isNamed = this.#witnesses.isNamed(peer)
    if (!this.#heard.has(peer) && this.#heard.size >= maxHeard) this.#makeRoom(isNamed)
    if (this.#heard.has(peer) || this.#heard.size < maxHeard) {
      this.#heard.set(peer, { aheadMs: aheadMs + this.stepMs, isNamed })
    }
    for (const listener of this.#listeners) listener()
  }

  /** Calls `listener` whenever a member was heard. Returns the unsubscriber. */
  onHeard(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** In words, when this node's clock is so far off that what it signs may not count. */
  problem(): string | undefined {
    const votes = this.#votes()
    for (const direction of [1, -1]) {
      const off = votes.filter(({ offMs }) => offMs * direction > maxOffMs)
      const others = 1 + votes.length - off.length
      if (off.length > others || (off.length === others && off.every(({ isNamed }) => isNamed))) {
        return describe(off[0]?.offMs ?? 0)
      }
    }
    return undefined
  }

  /** Whether more of those that have a say agree with this clock than not. */
  isConfirmed(): boolean {
    const votes = this.#votes()
    return 2 * votes.filter(({ offMs }) => Math.abs(offMs) <= maxOffMs).length > votes.length
  }

  /**
   * One of the later ones that has left goes, or for one that is named the last that is not: who is known for long keeps its
   * say while it is away, however many come meanwhile.
   */
  #makeRoom(forNamed: boolean): void {
    const later = [...this.#heard.keys()].slice(maxHeard / 2)
    const gone = later.findLast((peer) => !this.#witnesses.isConnected(peer))
    const last = forNamed ? [...this.#heard].findLast(([, { isNamed }]) => !isNamed)?.[0] : undefined
    const goes = gone ?? last
    if (goes !== undefined) this.#heard.delete(goes)
  }

  #votes(): { offMs: number; isNamed: boolean }[] {
    const present = [...this.#heard].filter(([peer]) => this.#witnesses.isConnected(peer))
    const { stepMs } = this
    return present
      .map(([, { aheadMs, isNamed }]) => ({ offMs: aheadMs - stepMs, isNamed }))
      .sort((a, b) => Number(b.isNamed) - Number(a.isNamed))
      .slice(0, maxVotes)
  }
}

function describe(offMs: number): string {
  const seconds = Math.round(Math.abs(offMs) / 1000)
  const direction = offMs > 0 ? 'behind' : 'ahead of'
  return `this node's clock is ${seconds} s ${direction} those of most members; set it, until then nothing is published here`
}
