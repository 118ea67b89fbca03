/** When a lease holds, and when it is worth writing a newer one. */
import type { Clock } from '../base/base.ts'

export class Leases {
  readonly #clock: Clock
  readonly #renewMs: number

  /** A lease is written again once a quarter of the grace time has passed, so that reads hardly ever write. */
  constructor(clock: Clock, graceMs: number) {
    this.#clock = clock
    this.#renewMs = graceMs / 4
  }

  now(): number {
    return this.#clock.now()
  }

  isFresh(leaseMs: number): boolean {
    return this.isYoung(leaseMs, this.#renewMs)
  }

  /** A lease from further ahead than `ms` was written under a wrong clock, and must not hold content for years. */
  isYoung(leaseMs: number, ms: number): boolean {
    return Math.abs(this.#clock.now() - leaseMs) < ms
  }
}
