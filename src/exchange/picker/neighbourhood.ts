/**
 * Whom a node exchanges one blob with: a few of all that have some of it, however many those are, so that its talk, its
 * wake-ups and its memory are the same in a swarm of ten and of ten thousand.
 *
 * The first ones are whoever is found first, in an order of chance. From then on one place changes hands now and then: the
 * neighbour that gave least goes, and a stranger is tried. The last one that has the whole blob stays, so that nobody is
 * cut off from where the pieces come from, and no group of nodes is an island. Where some are far (in other sites), most places
 * are for near ones and some for far ones, each group by itself; what one has no use for, the other takes.
 *
 * Pure: it says whom to leave and how many strangers to try; who keeps the connections does so.
 */

export interface Neighbour {
  readonly peer: string
  readonly isComplete: boolean
  /** In another site; default near. */
  readonly isFar?: boolean
  /** Of this blob, all that came from it. */
  readonly receivedBytes: number
}

export interface Review {
  leave: string[]
  /** Of those that are known and no neighbours. */
  tries: Strangers
}

/** How many are known and no neighbours. */
export interface Strangers {
  near: number
  far: number
}

interface Turn {
  turnBytes: number
  isStarved?: boolean
}

/** With fewer, pieces spread late; with more, little is gained (docs/simulation.md). */
export const maxNeighbours = 10
/** Of these, for far ones where there are enough near. */
const farPlaces = 3
/** What everyone has, everyone can give; what is worth passing on comes from those that have a part. */
const mostComplete = maxNeighbours / 2

export class Neighbourhood {
  readonly #near: Places
  readonly #far: Places

  constructor({ random }: { random: () => number }) {
    this.#near = new Places(random)
    this.#far = new Places(random)
  }

  /**
   * To be asked when a neighbour came or went, and now and then. `turnBytes` have to come from all of them before one is
   * exchanged for a stranger; or nothing at all for a while, since they may all lack the same.
   */
  review(
    neighbours: readonly Neighbour[],
    {
      strangers,
      places = maxNeighbours,
      ...turn
    }: Turn & {
      strangers: Strangers
      /** How many there are; default as many as do well. */
      places?: number
    },
  ): Review {
    const far = neighbours.filter(({ isFar }) => isFar === true)
    const near = neighbours.filter(({ isFar }) => isFar !== true)
    const known = { near: near.length + strangers.near, far: far.length + strangers.far }
    const forFar = Math.min(known.far, Math.max(farPlaces, places - known.near))
    // The last that has the whole of it may be in either group.
    const complete = neighbours.filter(({ isComplete }) => isComplete).length
    const ofNear = this.#near.review(near, { ...turn, complete, strangers: strangers.near }, places - forFar)
    const left = near.filter(({ peer, isComplete }) => isComplete && ofNear.leave.includes(peer)).length
    const ofFar = this.#far.review(
      far,
      { ...turn, complete: complete - left, strangers: strangers.far },
      forFar,
    )
    return {
      leave: [...ofNear.leave, ...ofFar.leave],
      tries: { near: ofNear.tries, far: ofFar.tries },
    }
  }
}

/** The places of one group. */
class Places {
  readonly #random: () => number
  /** What each had given when the turn began; who is not named is new. */
  #given = new Map<string, number>()
  #turnBytes = 0

  constructor(random: () => number) {
    this.#random = random
  }

  /** `complete` is how many have the whole blob, of both groups. */
  review(
    neighbours: readonly Neighbour[],
    { strangers, complete, turnBytes, isStarved }: Turn & { strangers: number; complete: number },
    places: number,
  ): { leave: string[]; tries: number } {
    const spare = places - neighbours.length
    if (spare < 0) return { leave: this.#leastUseful(neighbours, -spare, complete), tries: 0 }
    if (spare > 0) return { leave: [], tries: Math.min(spare, strangers) }
    const bytes = neighbours.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0)
    const isTurn = isStarved === true || bytes - this.#turnBytes >= (turnBytes * places) / maxNeighbours
    if (strangers === 0 || !isTurn) return { leave: [], tries: 0 }
    const leave = this.#leastUseful(neighbours, 1, complete)
    const stay = neighbours.filter(({ peer }) => !leave.includes(peer))
    this.#given = new Map(stay.map(({ peer, receivedBytes }) => [peer, receivedBytes]))
    this.#turnBytes = stay.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0)
    return { leave, tries: leave.length }
  }

  /** Those that gave least in this turn, the new ones after all others. */
  #leastUseful(neighbours: readonly Neighbour[], count: number, complete: number): string[] {
    const ranked = neighbours
      .map((neighbour) => ({ neighbour, gave: this.#gave(neighbour), tie: this.#random() }))
      .sort((a, b) => a.gave - b.gave || a.tie - b.tie)
      .map(({ neighbour }) => neighbour)
    let completeHere = neighbours.filter(({ isComplete }) => isComplete).length
    const elsewhere = complete - completeHere
    const leave: Neighbour[] = []
    const mayGo = (neighbour: Neighbour): boolean =>
      !leave.includes(neighbour) && !(neighbour.isComplete && completeHere + elsewhere === 1)
    while (leave.length < count) {
      const isCrowded = completeHere > mostComplete && completeHere < neighbours.length - leave.length
      const next =
        (isCrowded ? ranked.find((neighbour) => neighbour.isComplete && mayGo(neighbour)) : undefined) ??
        ranked.find(mayGo)
      if (next === undefined) break
      leave.push(next)
      if (next.isComplete) completeHere--
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
