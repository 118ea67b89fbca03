/** A queue whose `shift` costs the same however much waits: an array's own moves all that is behind. */
export class Fifo<T> {
  #items: (T | undefined)[] = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  push(item: T): void {
    this.#items.push(item)
  }

  /** The one that `shift` would take. */
  get first(): T | undefined {
    return this.#items[this.#head]
  }

  get last(): T | undefined {
    return this.length === 0 ? undefined : this.#items.at(-1)
  }

  /** In the place of `first`. */
  replaceFirst(item: T): void {
    if (this.length > 0) this.#items[this.#head] = item
  }

  /** In the place of `last`. */
  replaceLast(item: T): void {
    if (this.length > 0) this.#items[this.#items.length - 1] = item
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined
    // Once for as many as were taken since the last time.
    if (this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  clear(): void {
    this.#items = []
    this.#head = 0
  }

  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let at = this.#head; at < this.#items.length; at++) yield this.#items[at] as T
  }
}
