/**
 * Who gives its place to whom, where more ask than there are places: of one blob, or of a node.
 *
 * Keys cost nothing, so nobody may keep others out by having many, nor by coming again under new ones. Whoever makes no progress
 * gives way to anyone. Whoever was given a copy, or much where the comer never had a place, gives way to who had less. And a
 * third of the places is for those that were known longest: that cannot be had at once, whatever the number of keys.
 */

export interface Placed {
  /** When this node came to know the peer. */
  readonly knownMs: number
  /** Pieces that it was given. */
  readonly given: number
  /** It asks for nothing, or what it asked for does not arrive. */
  readonly isIdle: boolean
}

export interface Comer {
  readonly knownMs: number
  /** Before, when it had a place; `undefined` when it never had one. */
  readonly given: number | undefined
}

/** Whoever was given so much has had its turn when someone comes who had none. */
const turnPieces = 32

/** Which of them gives way, if one does. `copy` is how many pieces nobody has reason to be given more of. */
export function whoGivesWay<T extends Placed>(
  placed: readonly T[],
  comer: Comer,
  { copy = Number.POSITIVE_INFINITY }: { copy?: number } = {},
): T | undefined {
  const idle = placed.find(({ isIdle }) => isIdle)
  if (idle !== undefined) return idle
  const mostGiven = placed.toSorted((a, b) => b.given - a.given)
  const [sated] = mostGiven
  const lacks = comer.given === undefined || comer.given < copy
  if (sated !== undefined && sated.given >= copy && lacks) return sated
  const longestKnown = placed.toSorted((a, b) => a.knownMs - b.knownMs)
  const elders = longestKnown.slice(0, Math.ceil(placed.length / 3))
  const lastElder = elders.at(-1)
  if (lastElder !== undefined && comer.knownMs < lastElder.knownMs && lacks) return longestKnown.at(-1)
  if (comer.given !== undefined) return undefined
  return mostGiven.find((each) => each.given >= turnPieces && !elders.includes(each))
}
