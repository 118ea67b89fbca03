/**
 * A clock that goes with the real one while the process is given its turns, and waits for it while it is not: what a test
 * measures by it is what the code waited for, and not what else the machine had to do.
 */
import type { Clock } from '../../../src/base/base.ts'

const tickMs = 5
const mostPerTickMs = 10

interface Sleeper {
  atMs: number
  wake(): void
}

export class PatientClock implements Clock, Disposable {
  #nowMs = Date.now()
  #realMs = performance.now()
  readonly #sleepers = new Set<Sleeper>()
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#timer = setInterval(() => this.#tick(), tickMs)
  }

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
    try {
      await promise
    } finally {
      this.#sleepers.delete(sleeper)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #tick(): void {
    const realMs = performance.now()
    this.#nowMs += Math.min(realMs - this.#realMs, mostPerTickMs)
    this.#realMs = realMs
    for (const { atMs, wake } of this.#sleepers) if (atMs <= this.#nowMs) wake()
  }
}
