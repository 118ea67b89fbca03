/** Background work with an owner: loops and one-off tasks that are stopped and awaited together. */
import type { Clock } from './clock.ts'
import { ClosingError } from './closing-error.ts'
import { logFailure } from './failure.ts'
import type { Logger } from './logger.ts'

export class Background implements AsyncDisposable {
  readonly #stopping = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #owner: string
  readonly #logger: Logger

  /** `owner` names it in the reason for which work is aborted, such as `the swarm`. */
  constructor(owner: string, logger: Logger) {
    this.#owner = owner
    this.#logger = logger
  }

  /** Aborts when the owner closes. */
  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  /** Runs `work`, whose failure is logged and goes no further. Once the owner closes, nothing begins any more. */
  start(name: string, work: (signal: AbortSignal) => Promise<void>): void {
    if (this.signal.aborted) return
    const task = this.#run(name, work)
    this.#running.add(task)
    void task.finally(() => this.#running.delete(task))
  }

  /** Runs `work` about every `intervalMs`, from 0.8 to 1.2 of it, so that nodes do not fall into step. */
  every(
    name: string,
    intervalMs: number,
    { clock, random }: { clock: Clock; random: () => number },
    work: (signal: AbortSignal) => Promise<void>,
  ): void {
    this.start(name, async (signal) => {
      while (!signal.aborted) {
        await clock.sleep(intervalMs * (0.8 + 0.4 * random()), { signal })
        await this.#run(name, work)
      }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new ClosingError(`${this.#owner} is closing`))
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  async #run(name: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    try {
      await work(this.signal)
    } catch (error) {
      if (!this.signal.aborted) logFailure(this.#logger, error, 'a background task failed', { task: name })
    }
  }
}
