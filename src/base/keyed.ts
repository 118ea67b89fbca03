/** A lock for each key: work on one key runs one at a time and in order, work on different keys runs at once. */
export class Keyed {
  readonly #tails = new Map<string, Promise<unknown>>()

  /** True while work on `key` runs or waits. */
  busy(key: string): boolean {
    return this.#tails.has(key)
  }

  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const mine = before.then(work, work)
    this.#tails.set(key, mine)
    try {
      return await mine
    } finally {
      if (this.#tails.get(key) === mine) this.#tails.delete(key)
    }
  }
}
