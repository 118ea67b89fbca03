/** A clock that stands still until a test moves it; what sleeps past the new time wakes in order. */
import type { Clock } from '../../src/base/base.ts'

export class SteppedClock implements Clock {
  #nowMs = 1_800_000_000_000
  readonly #sleepers = new Set<{ atMs: number; wake(): void }>()
  readonly #watchers = new Set<() => void>()

  now(): number {
    return this.#nowMs
  }

  async sleep(ms: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const sleeper = { atMs: this.#nowMs + ms, wake: resolve }
    const onAbort = (): void => reject(signal?.reason)
    this.#sleepers.add(sleeper)
    signal?.addEventListener('abort', onAbort, { once: true })
    for (const watcher of this.#watchers) watcher()
    try {
      await promise
    } finally {
      this.#sleepers.delete(sleeper)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Moves on at once. */
  advance(ms: number): void {
    this.#nowMs += ms
    const due = [...this.#sleepers].filter(({ atMs }) => atMs <= this.#nowMs)
    for (const { wake } of due.sort((a, b) => a.atMs - b.atMs)) wake()
  }

  /** Resolves when something sleeps until that long from now, or longer: it has begun to wait. */
  async untilAsleep(ms: number): Promise<void> {
    const atMs = this.#nowMs + ms
    const isAsleep = (): boolean => [...this.#sleepers].some((sleeper) => sleeper.atMs === atMs)
    if (isAsleep()) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const watcher = (): void => {
      if (isAsleep()) resolve()
    }
    this.#watchers.add(watcher)
    await promise
    this.#watchers.delete(watcher)
  }
}
