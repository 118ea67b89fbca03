/**
 * One timer for all who sleep: being woken costs a process more than what is mostly done then. So sleeps end on beats that they
 * share, the longer ones on rarer beats, and loops of lengths that divide each other fall into step.
 */

/** What an alarm is set with. */
export interface Timing {
  /** Milliseconds, from any beginning. */
  now(): number
  /** Calls back once, after about `ms`; returns how to be rid of that. */
  set(ms: number, ring: () => void): () => void
}

/** Shorter sleeps end when they are over. */
const beatMs = 25
/** A sleep is no more than that part of itself longer, unless a beat is more. */
const share = 1 / 8
const mostMs = 32 * beatMs
/** By so much it may be shorter: a loop that has slept for a beat began a little after the last one. */
const earlyMs = 5
/** The longest that a timer takes. */
const longestMs = 2 ** 31 - 1

export class Alarm {
  readonly #timing: Timing
  readonly #sleepers = new Set<{ readonly atMs: number; wake(): void }>()
  #armed: { atMs: number; cancel(): void } | undefined

  constructor(timing: Timing) {
    this.#timing = timing
  }

  /** Resolves after about `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#sleepers.delete(sleeper)
        if (this.#sleepers.size === 0) this.#disarm()
        reject(signal?.reason)
      }
      const wake = (): void => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const sleeper = { atMs: endOf(this.#timing.now(), ms), wake }
      if (signal?.aborted === true) {
        leave()
        return
      }
      signal?.addEventListener('abort', leave, { once: true })
      this.#sleepers.add(sleeper)
      this.#arm(sleeper.atMs)
    })
  }

  #ring(): void {
    this.#armed = undefined
    const nowMs = this.#timing.now()
    let nextMs = Number.POSITIVE_INFINITY
    const due: { atMs: number; wake(): void }[] = []
    for (const sleeper of this.#sleepers) {
      if (sleeper.atMs <= nowMs) due.push(sleeper)
      else nextMs = Math.min(nextMs, sleeper.atMs)
    }
    due.sort((a, b) => a.atMs - b.atMs)
    for (const sleeper of due) {
      this.#sleepers.delete(sleeper)
      sleeper.wake()
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#arm(nextMs)
  }

  #arm(atMs: number): void {
    if (this.#armed !== undefined && this.#armed.atMs <= atMs) return
    this.#disarm()
    const ms = Math.ceil(Math.max(0, atMs - this.#timing.now()))
    this.#armed = { atMs, cancel: this.#timing.set(Math.min(ms, longestMs), () => this.#ring()) }
  }

  #disarm(): void {
    this.#armed?.cancel()
    this.#armed = undefined
  }
}

function endOf(nowMs: number, ms: number): number {
  if (ms < beatMs) return nowMs + ms
  const doublings = Math.floor(Math.log2(Math.max(1, (ms * share) / beatMs)))
  const everyMs = Math.min(mostMs, beatMs * 2 ** doublings)
  return Math.ceil((nowMs + ms - earlyMs) / everyMs) * everyMs
}
