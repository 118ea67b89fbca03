/** Those who have proven nothing yet. When the room is full, the oldest of whoever takes most of it goes, never the one who comes. */
export class WaitingRoom {
  readonly #most: number
  readonly #mostOfOne: number
  /** By where they come from, in the order in which they came. */
  readonly #waiting = new Map<string, Set<() => void>>()
  #count = 0

  constructor({ most, mostOfOne }: { most: number; mostOfOne: number }) {
    this.#most = most
    this.#mostOfOne = mostOfOne
  }

  get size(): number {
    return this.#count
  }

  /** `giveWay` is called, once, if this one has to go for another. Returns what takes it out of the room; more calls change nothing. */
  enter(from: string, giveWay: () => void): () => void {
    if ((this.#waiting.get(from)?.size ?? 0) >= this.#mostOfOne) this.#dismiss(from)
    else if (this.#count >= this.#most) this.#dismiss(this.#fullest())
    const leave = (): void => giveWay()
    const mine = this.#waiting.get(from) ?? new Set()
    this.#waiting.set(from, mine.add(leave))
    this.#count++
    return () => this.#remove(from, leave)
  }

  #fullest(): string | undefined {
    let found: string | undefined
    let most = 0
    for (const [from, { size }] of this.#waiting) {
      if (size > most) [found, most] = [from, size]
    }
    return found
  }

  #dismiss(from: string | undefined): void {
    const [oldest] = (from !== undefined && this.#waiting.get(from)) || []
    if (from === undefined || oldest === undefined) return
    this.#remove(from, oldest)
    oldest()
  }

  #remove(from: string, leave: () => void): void {
    const theirs = this.#waiting.get(from)
    if (theirs?.delete(leave) !== true) return
    this.#count--
    if (theirs.size === 0) this.#waiting.delete(from)
  }
}
