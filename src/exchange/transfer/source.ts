/** One peer that may have a blob, as a transfer knows it: what it says that it holds, and what came of asking for its list. */
import type { Asking } from '../peer/asking.ts'
import type { Want, WantEvent } from '../peer/want.ts'
import type { Candidate, Giver, Holding, Holds } from './candidates.ts'

export type HoldingSource = Holding<Source>

export class Source implements Giver {
  readonly link: Asking
  readonly want: Want
  readonly askedMs: number
  /** It has said whether it holds anything. */
  answered = false
  holds: Holds | undefined
  list: Giver['list'] = 'none'
  listAskedMs = 0
  listFrom = 0
  doubt: { piece: number; against: Candidate } | undefined
  /** Of pieces of this blob. */
  receivedBytes = 0

  constructor(link: Asking, want: Want, askedMs: number) {
    this.link = link
    this.want = want
    this.askedMs = askedMs
  }

  get peer(): string {
    return this.link.peer
  }

  /** Keeps what it says of what it holds. Returns whether that may be less than before. */
  heard(event: WantEvent): boolean {
    const { holds: before } = this
    if (event.type === 'holds' || event.type === 'absent') {
      this.answered = true
      // What it has from now on may be by another list: by its own, once it has all.
      if (event.type === 'absent' && this.list !== 'asked') this.list = 'none'
      this.holds = event.type === 'absent' ? undefined : { size: event.size, held: event.held }
      return before !== undefined && this.holds?.held.includes(before.held) !== true
    }
    if (event.type === 'bytes') this.receivedBytes += event.bytes
    return event.type === 'lost'
  }
}

export function isHolding(source: Source): source is HoldingSource {
  return source.holds !== undefined
}
