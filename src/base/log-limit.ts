/** Lines that strangers can cause, written seldom: each subject once in a while, and all together not often. */
import type { Clock } from './clock.ts'

export interface LogLimitOptions {
  clock: Clock
  everyMs?: number
  /** Of all subjects together within that time. */
  most?: number
}

export class LogLimit {
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #most: number
  readonly #subjects = new Set<string>()
  #sinceMs: number
  #unsaid = 0

  constructor({ clock, everyMs = 3600_000, most = 16 }: LogLimitOptions) {
    this.#clock = clock
    this.#everyMs = everyMs
    this.#most = most
    this.#sinceMs = clock.now()
  }

  /** Calls `write` when a line about this subject is due, with how many of all subjects were left out since the last. */
  line(subject: string, write: (unsaid: number) => void): void {
    const nowMs = this.#clock.now()
    if (nowMs - this.#sinceMs >= this.#everyMs) {
      this.#subjects.clear()
      this.#sinceMs = nowMs
    }
    if (this.#subjects.has(subject) || this.#subjects.size >= this.#most) {
      this.#unsaid++
      return
    }
    this.#subjects.add(subject)
    const unsaid = this.#unsaid
    this.#unsaid = 0
    write(unsaid)
  }
}
