/**
 * A clock that goes with the real one while the process is given its turns, and waits for it while it is not: what a test
 * measures by it is what the code waited for, and not what else the machine had to do.
 */
import type { Clock } from '../../../src/base/base.ts'
import { Sleepers } from '../../base/sleepers.ts'

const tickMs = 5
const mostPerTickMs = 10

export class PatientClock implements Clock, Disposable {
  #nowMs = Date.now()
  #realMs = performance.now()
  readonly #sleepers = new Sleepers()
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#timer = setInterval(() => this.#tick(), tickMs)
  }

  now(): number {
    return this.#nowMs
  }

  sleep(ms: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#sleepers.sleepUntil(this.#nowMs + ms, signal)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #tick(): void {
    const realMs = performance.now()
    this.#nowMs += Math.min(realMs - this.#realMs, mostPerTickMs)
    this.#realMs = realMs
    this.#sleepers.wake(this.#nowMs)
  }
}
