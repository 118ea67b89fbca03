/** Work in the background with an owner, which stops it and waits for its end. */
import type { Logger } from '../base/base.ts'

export class Background implements AsyncDisposable {
  readonly #stopping = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Aborts when the owner closes. */
  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  /** Runs `work`, whose failure is logged and goes no further. */
  start(name: string, work: (signal: AbortSignal) => Promise<void>): void {
    if (this.signal.aborted) return
    const task = this.#run(name, work)
    this.#running.add(task)
    void task.finally(() => this.#running.delete(task))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the exchange is closing'))
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  async #run(name: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    try {
      await work(this.signal)
    } catch (error) {
      if (!this.signal.aborted) this.#logger.error({ error, task: name }, 'work of the exchange failed')
    }
  }
}
