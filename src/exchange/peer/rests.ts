/**
 * For how long what neighbours send may lie unread. On a narrow link a packet comes every few milliseconds, and a node that is woken
 * by each does little else; nobody waits for it there, as a piece takes longer by itself. So a rest is about as long as the link
 * takes for a small piece, and there is none where that is less than a beat.
 *
 * A link is known to be narrow by frames that are under way for long while little moves: that little is asked for is no sign.
 */

const restBytes = 80 * 1024
/** Each falls on beats of the longer ones and, the longest, of transfers (transfer.ts): longer, a swarm would lose by it (docs/simulation.md). */
const restsMs = [100, 50, 25]
/** What moved long ago counts for less: by a third after so long. */
const averageMs = 250
/** Of a narrow link: so long is enough, no more is remembered, and as long without a sign takes half of it away. */
const signsMs = { enough: 200, most: 500 }

/** Of all neighbours together. */
export interface Moved {
  receivedBytes: number
  sentBytes: number
  /** A frame was on its way all the time. */
  isUnderWay: boolean
}

/** On a link that takes so much in a millisecond; 0 when everything is to be read as it comes. */
export function restFor(bytesPerMs: number): number {
  const pieceMs = restBytes / Math.max(1, bytesPerMs)
  return restsMs.find((ms) => ms <= pieceMs) ?? 0
}

export class Rests {
  #bytesPerMs = 0
  #signsMs = 0

  /** What moved in so many milliseconds. Returns how long the next rest is; 0 when everything is to be read as it comes. */
  next({ receivedBytes, sentBytes, isUnderWay }: Moved, ms: number): number {
    const bytesPerMs = Math.max(receivedBytes, sentBytes) / ms
    this.#bytesPerMs += (1 - Math.exp(-ms / averageMs)) * (bytesPerMs - this.#bytesPerMs)
    const restMs = restFor(this.#bytesPerMs)
    if (restMs === 0) this.#signsMs = 0
    else if (isUnderWay && bytesPerMs > 0) this.#signsMs = Math.min(signsMs.most, this.#signsMs + ms)
    else this.#signsMs = Math.max(0, this.#signsMs - ms / 2)
    return this.#signsMs < signsMs.enough ? 0 : restMs
  }
}
