/**
 * Whom a node exchanges one blob with: a few of all that have some of it, however many those are, so that its talk, its
 * wake-ups and its memory are the same in a swarm of ten and of ten thousand.
 *
 * The first ones are whoever is found first, in an order of chance. From then on one place changes hands now and then: the
 * neighbour that gave least goes, and a stranger is tried. The last one that has the whole blob stays, so that nobody is
 * cut off from where the pieces come from, and no group of nodes is an island.
 *
 * Pure: it says whom to leave and how many strangers to try; who keeps the connections does so.
 */

export interface Neighbour {
  readonly peer: string
  readonly isComplete: boolean
  /** Of this blob, all that came from it. */
  readonly receivedBytes: number
}

export interface Review {
  leave: string[]
  /** Of those that are known and no neighbours. */
  tries: number
}

/** With fewer, pieces spread late; with more, little is gained (docs/simulation.md). */
export const maxNeighbours = 10
/** What everyone has, everyone can give; what is worth passing on comes from those that have a part. */
const mostComplete = maxNeighbours / 2

export class Neighbourhood {
  readonly #random: () => number
  /** What each had given when the turn began; who is not named is new. */
  #given = new Map<string, number>()
  #turnBytes = 0

  constructor({ random }: { random: () => number }) {
    this.#random = random
  }

  /**
   * To be asked when a neighbour came or went, and now and then. `turnBytes` have to come from all of them before one is
   * exchanged for one of `strangers`; or nothing at all for a while, since they may all lack the same.
   */
  review(
    neighbours: readonly Neighbour[],
    { strangers, turnBytes, isStarved }: { strangers: number; turnBytes: number; isStarved?: boolean },
  ): Review {
    const spare = maxNeighbours - neighbours.length
    if (spare < 0) return { leave: this.#leastUseful(neighbours, -spare), tries: 0 }
    if (spare > 0) return { leave: [], tries: Math.min(spare, strangers) }
    const bytes = neighbours.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0)
    const isTurn = isStarved === true || bytes - this.#turnBytes >= turnBytes
    if (strangers === 0 || !isTurn) return { leave: [], tries: 0 }
    const leave = this.#leastUseful(neighbours, 1)
    const stay = neighbours.filter(({ peer }) => !leave.includes(peer))
    this.#given = new Map(stay.map(({ peer, receivedBytes }) => [peer, receivedBytes]))
    this.#turnBytes = stay.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0)
    return { leave, tries: leave.length }
  }

  /** Those that gave least in this turn, the new ones after all others. */
  #leastUseful(neighbours: readonly Neighbour[], count: number): string[] {
    const ranked = neighbours
      .map((neighbour) => ({ neighbour, gave: this.#gave(neighbour), tie: this.#random() }))
      .sort((a, b) => a.gave - b.gave || a.tie - b.tie)
      .map(({ neighbour }) => neighbour)
    let complete = neighbours.filter(({ isComplete }) => isComplete).length
    const leave: Neighbour[] = []
    const mayGo = (neighbour: Neighbour): boolean =>
      !leave.includes(neighbour) && !(neighbour.isComplete && complete === 1)
    while (leave.length < count) {
      const isCrowded = complete > mostComplete && complete < neighbours.length - leave.length
      const next =
        (isCrowded ? ranked.find((neighbour) => neighbour.isComplete && mayGo(neighbour)) : undefined) ??
        ranked.find(mayGo)
      if (next === undefined) break
      leave.push(next)
      if (next.isComplete) complete--
    }
    return leave.map(({ peer }) => peer)
  }

  #gave({ peer, receivedBytes }: Neighbour): number {
    const before = this.#given.get(peer)
    return before === undefined && this.#given.size > 0
      ? Number.POSITIVE_INFINITY
      : receivedBytes - (before ?? 0)
  }
}
