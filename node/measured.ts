/** What is dear to find out: found out once for all who ask at a time, and not again for as long as that would cost too much. */
import type { Clock } from '../src/base/base.ts'

/** Of the time that passes, finding out may take this share while somebody keeps asking. */
const share = 0.05
const usualAgeMs = 2_000

export class Measured<T> {
  readonly #measure: () => Promise<T>
  readonly #clock: Clock
  #value: Promise<T> | undefined
  readonly #minAgeMs: number
  #staleMs = 0

  /** What was found is good for `minAgeMs` at least. */
  constructor(measure: () => Promise<T>, clock: Clock, { minAgeMs = usualAgeMs } = {}) {
    this.#minAgeMs = minAgeMs
    this.#measure = measure
    this.#clock = clock
  }

  get(): Promise<T> {
    if (this.#value !== undefined && this.#clock.now() < this.#staleMs) return this.#value
    this.#staleMs = Number.POSITIVE_INFINITY
    this.#value = this.#run()
    return this.#value
  }

  /** The next who asks gets what is true then. */
  forget(): void {
    this.#staleMs = 0
  }

  async #run(): Promise<T> {
    const begunMs = this.#clock.now()
    try {
      return await this.#measure()
    } finally {
      const endMs = this.#clock.now()
      this.#staleMs = endMs + Math.max(this.#minAgeMs, (endMs - begunMs) / share)
    }
  }
}
