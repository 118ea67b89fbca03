/** Memory for pieces on their way, lent to transfers: the first ones get much, the many little, and nobody more than there is. */
export interface Lease extends Disposable {
  readonly bytes: number
}

interface Waiter {
  least: number
  most: number
  granted: PromiseWithResolvers<number>
}

export class MemoryBudget {
  readonly #total: number
  #free: number
  #waiting: Waiter[] = []

  constructor(bytes: number) {
    this.#total = bytes
    this.#free = bytes
  }

  get used(): number {
    return this.#total - this.#free
  }

  /**
   * Lends a quarter of what is free, between `least` and `most`, and waits in line while less than `least` is free.
   * More than there is at all counts as all of it.
   */
  async lend(options: { least: number; most: number; signal: AbortSignal }): Promise<Lease> {
    const { signal } = options
    signal.throwIfAborted()
    const least = Math.min(options.least, this.#total)
    const waiter = { least, most: Math.max(least, options.most), granted: Promise.withResolvers<number>() }
    const onAbort = (): void => {
      this.#waiting = this.#waiting.filter((other) => other !== waiter)
      waiter.granted.reject(signal.reason)
      this.#serve()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    this.#waiting.push(waiter)
    this.#serve()
    try {
      return this.#lease(await waiter.granted.promise)
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  #lease(bytes: number): Lease {
    let isLent = true
    return {
      bytes,
      [Symbol.dispose]: () => {
        if (!isLent) return
        isLent = false
        this.#free += bytes
        this.#serve()
      },
    }
  }

  #serve(): void {
    for (;;) {
      const [first] = this.#waiting
      if (first === undefined || first.least > this.#free) return
      this.#waiting.shift()
      const bytes = Math.max(first.least, Math.min(first.most, Math.floor(this.#free / 4)))
      this.#free -= bytes
      first.granted.resolve(bytes)
    }
  }
}
