/** A set that forgets: it holds at least the last `least` names that were added, and at most twice as many. */
export class Recent {
  readonly #least: number
  #young = new Set<string>()
  #old = new Set<string>()

  constructor(least: number) {
    this.#least = least
  }

  has(name: string): boolean {
    return this.#young.has(name) || this.#old.has(name)
  }

  add(name: string): void {
    // Two generations cost nothing to turn over; deleting the oldest of one set slows with each deletion.
    if (this.#young.size >= this.#least) {
      this.#old = this.#young
      this.#young = new Set()
    }
    this.#young.add(name)
  }
}
