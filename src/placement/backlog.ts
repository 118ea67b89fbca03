/** What is short of copies, as far as this node is to do something about it: work that stands on the disk until it is done. */
import type { Digest, Repository } from '../oci/oci.ts'

/** An image by its manifest, in the repository through which it is read. */
export interface ImageName {
  repository: Repository
  digest: Digest
}

export interface Debt extends ImageName {
  /** `bring` it here, or `secure` what is here by copies elsewhere. */
  kind: 'bring' | 'secure'
  /** When its record was written. */
  sinceMs: number
  /** Copies that are known of, and that there are to be. */
  held: number
  wanted: number
  /** It was just pushed here: whoever is there takes it when its owners are not. */
  isFresh: boolean
  /** How often it was tried in vain. */
  tries: number
}

/** A part of the node's database that belongs to the backlog alone. */
export interface DebtTable {
  values(): { all(): Promise<Debt[]> }
  put(key: string, value: Debt): Promise<void>
  del(key: string): Promise<void>
}

/** More is found again by the next look. */
const maxDebts = 20_000
const firstPauseMs = 2_000
const lastPauseMs = 10 * 60_000
/** What was just pushed and was tried that often in vain has no precedence any more. */
const maxFreshTries = 4
/** Those that wait for a member that came are not tried all at once. */
const joinJitterMs = 1_000

export class Backlog {
  readonly #table: DebtTable
  readonly #random: () => number
  readonly #debts = new Map<string, Debt & { dueMs: number }>()
  #isCut = false

  private constructor(table: DebtTable, random: () => number) {
    this.#table = table
    this.#random = random
  }

  /** What stood there before is due at once. `random` is from 0 to 1. */
  static async open(table: DebtTable, random: () => number): Promise<Backlog> {
    const backlog = new Backlog(table, random)
    for (const debt of await table.values().all()) {
      backlog.#debts.set(keyOf(debt), { ...debt, dueMs: Number.NEGATIVE_INFINITY })
    }
    return backlog
  }

  get size(): number {
    return this.#debts.size
  }

  /** True when there was more than there is room for: once what is here is done, all has to be looked through again. */
  get isCut(): boolean {
    return this.#isCut
  }

  list(): Debt[] {
    return [...this.#debts.values()]
  }

  get(image: ImageName): Debt | undefined {
    return this.#debts.get(keyOf(image))
  }

  /** One that stands already keeps its turn and its pause, unless it is new that it was just pushed. */
  async add(debt: Omit<Debt, 'tries'>, nowMs: number): Promise<void> {
    const key = keyOf(debt)
    const known = this.#debts.get(key)
    if (known !== undefined && known.kind === debt.kind && (known.isFresh || !debt.isFresh)) return
    if (known === undefined && this.#debts.size >= maxDebts) {
      this.#isCut = true
      return
    }
    await this.#put(key, { ...debt, tries: 0, dueMs: nowMs })
  }

  async settle(image: ImageName): Promise<void> {
    const key = keyOf(image)
    if (!this.#debts.delete(key)) return
    if (this.#debts.size === 0) this.#isCut = false
    await this.#table.del(key)
  }

  /** Tried in vain: again after a pause, which grows; with `isSlow`, some of it came, and the rest goes on where nobody else waits. */
  async postpone(
    image: ImageName,
    held: number,
    nowMs: number,
    { isSlow = false }: { isSlow?: boolean } = {},
  ): Promise<void> {
    const key = keyOf(image)
    const debt = this.#debts.get(key)
    if (debt === undefined) return
    const pauseMs = Math.min(lastPauseMs, firstPauseMs * 2 ** (isSlow ? 0 : Math.min(debt.tries, 20)))
    const dueMs = nowMs + pauseMs * (0.8 + 0.4 * this.#random())
    await this.#put(key, { ...debt, held, tries: debt.tries + 1, dueMs })
  }

  /** Someone came who may hold it, or take it. */
  hurry(nowMs: number): void {
    for (const debt of this.#debts.values()) {
      debt.dueMs = Math.min(debt.dueMs, nowMs + this.#random() * joinJitterMs)
    }
  }

  /** Something is new about this one. */
  hasten(image: ImageName, nowMs: number): void {
    const known = this.#debts.get(keyOf(image))
    if (known !== undefined) known.dueMs = Math.min(known.dueMs, nowMs)
  }

  /**
   * What was just pushed goes first, then what was tried least in vain, else in the order in which it came: what comes slowly, on purpose
   * or not, keeps nothing else waiting. `undefined` when nothing is due.
   */
  next(nowMs: number): Debt | undefined {
    let first: Debt | undefined
    for (const debt of this.#debts.values()) {
      if (debt.dueMs > nowMs) continue
      if (isFirst(debt)) return debt
      if (first === undefined || debt.tries < first.tries) first = debt
    }
    return first
  }

  /** Another is due. */
  isAwaited(image: ImageName, nowMs: number): boolean {
    const key = keyOf(image)
    for (const [other, { dueMs }] of this.#debts) if (other !== key && dueMs <= nowMs) return true
    return false
  }

  /** When the next is due; Infinity for never. */
  get dueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY
    for (const debt of this.#debts.values()) dueMs = Math.min(dueMs, debt.dueMs)
    return dueMs
  }

  /** Behind the others, where one that comes again is as well. */
  async #put(key: string, debt: Debt & { dueMs: number }): Promise<void> {
    this.#debts.delete(key)
    this.#debts.set(key, debt)
    const { dueMs: _, ...row } = debt
    await this.#table.put(key, row)
  }
}

function isFirst({ isFresh, tries }: Debt): boolean {
  return isFresh && tries < maxFreshTries
}

export function keyOf({ repository, digest }: ImageName): string {
  return `${repository}@${digest}`
}
