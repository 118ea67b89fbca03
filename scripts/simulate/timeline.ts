/** Virtual time: things to do, each at its moment, in the order of time and then of being planned. */
interface Entry {
  at: number
  order: number
  run: () => void
}

export class Timeline {
  readonly #heap: Entry[] = []
  #order = 0
  now = 0
  events = 0

  after(ms: number, run: () => void): void {
    const entry = { at: this.now + ms, order: this.#order++, run }
    const heap = this.#heap
    let at = heap.length
    heap.push(entry)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (above === undefined || !before(entry, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = entry
  }

  /** Runs until nothing is planned, `isOver` says so, or the time is `untilMs`. */
  run({ untilMs, isOver }: { untilMs: number; isOver: () => boolean }): void {
    for (let next = this.#pop(); next !== undefined; next = this.#pop()) {
      if (next.at > untilMs) return
      this.now = next.at
      this.events++
      next.run()
      if (isOver()) return
    }
  }

  #pop(): Entry | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || first === last) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      let lower = heap[child]
      if (lower === undefined) break
      const right = heap[child + 1]
      if (right !== undefined && before(right, lower)) {
        child++
        lower = right
      }
      if (!before(lower, last)) break
      heap[at] = lower
      at = child
    }
    heap[at] = last
    return first
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

/** Numbers from 0 to 1 that are the same at every run (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
