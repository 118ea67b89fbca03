/**
 * So much per time in all, shared fairly among those who take it, by whatever name. Names may cost nothing to make: together
 * they get no more than the whole, and while half of it is left nobody is counted. Below that nobody gets more than an equal
 * share, and the last of it is for those that took less: who asks all the time leaves something to who asks seldom.
 */
export interface FairBudgetOptions {
  /** What it holds when nothing was taken for long. */
  burst: number
  perSecond: number
  /** Milliseconds from any start, never going back. */
  now: () => number
  /** What is left to those that took less than others. Default an eighth of `burst`. */
  spare?: number
}

interface Share {
  taken: number
  atMs: number
}

/** What was taken so long ago counts half. */
const halfLifeMs = 60_000
const maxShares = 10_000
/** Shares below this are forgotten. */
const least = 1

export class FairBudget {
  readonly #options: FairBudgetOptions
  readonly #shares = new Map<string, Share>()
  #left: number
  #atMs: number
  /** What all shares hold, faded like each of them. */
  #sum: Share

  constructor(options: FairBudgetOptions) {
    this.#options = options
    this.#left = options.burst
    this.#atMs = options.now()
    this.#sum = { taken: 0, atMs: this.#atMs }
  }

  /** Takes `amount` for `name`, or nothing: then it is false. An amount above what is left is taken all the same, as a debt. */
  take(name: string, amount: number): boolean {
    if (!this.has(name)) return false
    this.#left -= amount
    const now = this.#atMs
    const share = this.#shares.get(name)
    const taken = (share === undefined ? 0 : faded(share, now)) + amount
    this.#shares.delete(name)
    this.#shares.set(name, { taken, atMs: now })
    this.#sum = { taken: faded(this.#sum, now) + amount, atMs: now }
    this.#forget()
    return true
  }

  /** Whether `name` may take something now. */
  has(name: string): boolean {
    return this.leftFor(name) > 0
  }

  /** What is left for `name`, at least 0. */
  leftFor(name: string): number {
    this.#refill()
    return Math.max(0, this.#left - this.#keptFrom(name))
  }

  #keptFrom(name: string): number {
    const { burst, spare = burst / 8 } = this.#options
    const share = this.#shares.get(name)
    if (share === undefined) return 0
    const [taken, sum] = [faded(share, this.#atMs), faded(this.#sum, this.#atMs) + least]
    const { size } = this.#shares
    if (taken * size > sum) return burst / 2
    // As if one more shared it, who has yet to come.
    return taken * (size + 1) > sum ? spare : 0
  }

  #refill(): void {
    const { burst, perSecond, now } = this.#options
    const nowMs = now()
    this.#left = Math.min(burst, this.#left + ((nowMs - this.#atMs) / 1000) * perSecond)
    this.#atMs = nowMs
  }

  /** The longest untouched come first, so few are looked at. */
  #forget(): void {
    for (const [name, share] of this.#shares) {
      const taken = faded(share, this.#atMs)
      if (taken >= least && this.#shares.size <= maxShares) return
      this.#shares.delete(name)
      this.#sum = { taken: Math.max(0, faded(this.#sum, this.#atMs) - taken), atMs: this.#atMs }
    }
  }
}

function faded({ taken, atMs }: Share, nowMs: number): number {
  return taken * 0.5 ** ((nowMs - atMs) / halfLifeMs)
}
