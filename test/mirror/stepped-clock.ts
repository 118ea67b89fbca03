/** A clock that stands still until a test moves it; what sleeps past the new time wakes in order. */
import type { Clock } from '../../src/base/base.ts'
import { Sleepers } from '../base/sleepers.ts'

export class SteppedClock implements Clock {
  #nowMs = 1_800_000_000_000
  readonly #sleepers = new Sleepers()
  readonly #watchers = new Set<() => void>()

  now(): number {
    return this.#nowMs
  }

  sleep(ms: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const slept = this.#sleepers.sleepUntil(this.#nowMs + ms, signal)
    for (const watcher of this.#watchers) watcher()
    return slept
  }

  /** How many sleep. */
  get sleepers(): number {
    return this.#sleepers.times().length
  }

  /** Moves on at once. */
  advance(ms: number): void {
    this.#nowMs += ms
    this.#sleepers.wake(this.#nowMs)
  }

  /** Moves on once something sleeps. */
  async pass(ms: number): Promise<void> {
    await this.#until(() => this.#sleepers.times().length > 0)
    this.advance(ms)
  }

  /** Resolves when something sleeps until exactly that long from now: it has begun to wait. */
  async untilAsleep(ms: number): Promise<void> {
    const atMs = this.#nowMs + ms
    await this.#until(() => this.#sleepers.times().includes(atMs))
  }

  async #until(isSo: () => boolean): Promise<void> {
    if (isSo()) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const watcher = (): void => {
      if (isSo()) resolve()
    }
    this.#watchers.add(watcher)
    await promise
    this.#watchers.delete(watcher)
  }
}
