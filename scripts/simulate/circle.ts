/** Whom a simulated host asks for one blob: some of those that it knows, as a node chooses them. */
import { maxNeighbours, type Neighbour, Neighbourhood } from '../../src/exchange/picker/neighbourhood.ts'

export interface CircleOptions<Other> {
  random: () => number
  /** Bytes after which one neighbour may be exchanged. */
  turnBytes: number
  isComplete(other: Other): boolean
  isFar(other: Other): boolean
  ask(other: Other): void
  leave(other: Other): void
}

/** As in src/exchange/transfer/sources.ts. */
const starvedMs = 5000

export class Circle<Other extends { name: string }> {
  readonly #options: CircleOptions<Other>
  readonly #neighbourhood: Neighbourhood
  readonly #asked = new Map<Other, number>()
  readonly #strangers = new Set<Other>()
  #receivedBytes = 0
  #movedMs = 0

  constructor(options: CircleOptions<Other>) {
    this.#options = options
    this.#neighbourhood = new Neighbourhood(options)
  }

  meet(other: Other): void {
    if (this.#asked.has(other)) return
    if (this.#asked.size >= maxNeighbours) this.#strangers.add(other)
    else this.#ask(other)
  }

  /** To be called now and then: for a while nothing may come. */
  check(nowMs: number, isMoving: boolean): void {
    if (isMoving) this.#movedMs = nowMs
    if (nowMs - this.#movedMs < starvedMs) return
    this.#movedMs = nowMs
    this.#review(true)
  }

  received(other: Other, bytes: number): void {
    const before = this.#asked.get(other)
    if (before === undefined) return
    this.#asked.set(other, before + bytes)
    this.#receivedBytes += bytes
    if (this.#receivedBytes * maxNeighbours < this.#options.turnBytes) return
    this.#receivedBytes = 0
    this.#review()
  }

  /** It has no place. Returns whether there are others to ask instead. */
  refused(other: Other): boolean {
    if (this.#asked.size < 2 || !this.#asked.delete(other)) return false
    this.#strangers.add(other)
    this.#options.leave(other)
    this.#review()
    return true
  }

  /** It is gone. */
  lose(other: Other): void {
    this.#strangers.delete(other)
    if (this.#asked.delete(other)) this.#review()
  }

  #ask(other: Other): void {
    this.#strangers.delete(other)
    this.#asked.set(other, 0)
    this.#options.ask(other)
  }

  #review(isStarved = false): void {
    const { turnBytes, isComplete, isFar, leave } = this.#options
    const neighbours: Neighbour[] = [...this.#asked].map(([other, receivedBytes]) => ({
      peer: other.name,
      isComplete: isComplete(other),
      isFar: isFar(other),
      receivedBytes,
    }))
    const far = [...this.#strangers].filter(isFar)
    const near = [...this.#strangers].filter((other) => !isFar(other))
    const review = this.#neighbourhood.review(neighbours, {
      isStarved,
      strangers: { near: near.length, far: far.length },
      turnBytes,
    })
    const strangers = [...near.slice(0, review.tries.near), ...far.slice(0, review.tries.far)]
    for (const other of this.#asked.keys()) {
      if (!review.leave.includes(other.name)) continue
      this.#asked.delete(other)
      this.#strangers.add(other)
      leave(other)
    }
    for (const other of strangers) this.#ask(other)
  }
}
