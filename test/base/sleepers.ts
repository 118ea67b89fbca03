/** Who sleeps on a clock of a test, and until when. */
export class Sleepers {
  readonly #sleeping = new Set<{ atMs: number; wake(): void }>()

  /** Rejects with the signal's reason when it aborts before. */
  async sleepUntil(atMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const sleeper = { atMs, wake: resolve }
    const onAbort = (): void => reject(signal?.reason)
    this.#sleeping.add(sleeper)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await promise
    } finally {
      this.#sleeping.delete(sleeper)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Those whose time has come wake in order. */
  wake(nowMs: number): void {
    const due = [...this.#sleeping].filter(({ atMs }) => atMs <= nowMs)
    for (const { wake } of due.sort((a, b) => a.atMs - b.atMs)) wake()
  }

  times(): number[] {
    return [...this.#sleeping].map(({ atMs }) => atMs)
  }
}
