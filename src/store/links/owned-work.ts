/** Work that a store must not outlive: stopped and waited for when it closes. */
import { ClosingError } from '../../base/base.ts'

export class OwnedWork implements AsyncDisposable {
  readonly #closing = new AbortController()
  readonly #running = new Set<Promise<unknown>>()

  /** Runs `work` with a signal that aborts when the caller's does, or when this closes. */
  async run<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const closing = this.#closing.signal
    closing.throwIfAborted()
    const running = work(signal === undefined ? closing : AbortSignal.any([closing, signal]))
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new ClosingError('the store is closing'))
    await Promise.allSettled(this.#running)
  }
}
