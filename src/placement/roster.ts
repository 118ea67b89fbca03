/**
 * Who is in: the members that images are placed on. One that is away is in for ten minutes, as what it holds is back then; when
 * more than a third are away it is the line that is cut, and nobody leaves. Told who is connected, and the time.
 */
import { TokenBucket } from '../base/base.ts'
import { type Offer, Owners } from './owners.ts'

export interface RosterRow extends Offer {
  /** It was away for too long: others hold what it held. */
  isOut: boolean
}

interface Known extends RosterRow {
  /** Absent while it is connected. */
  awaySinceMs?: number
  /** How often it may still say something else. */
  changes: TokenBucket
}

const outAfterMs = 10 * 60_000
/** Each change has everything looked through anew, and nothing let go for ten minutes: of one member so many at once, and one in an hour. */
const changes = { burstBytes: 12, bytesPerSecond: 1 / 3600 }
/** Whoever has come and gone most lately is known beyond this. */
const maxKnown = 1024

export class Roster {
  readonly #known = new Map<string, Known>()
  #self: Offer
  #isFrozen = false
  #changedMs: number
  #owners: Owners | undefined

  /** With who was known when the node last ran: they count as away from now on. */
  constructor(self: Offer, rows: Iterable<RosterRow>, nowMs: number) {
    this.#self = self
    this.#changedMs = nowMs
    for (const row of rows)
      this.#known.set(row.peer, {
        ...row,
        awaySinceMs: nowMs,
        changes: new TokenBucket({ ...changes, nowMs }),
      })
  }

  /** Those who are in, this node among them. */
  get members(): Offer[] {
    return [this.#self, ...[...this.#known.values()].filter(({ isOut }) => !isOut)]
  }

  /** Those who are in and connected, this node among them. */
  get present(): Offer[] {
    return [this.#self, ...[...this.#known.values()].filter(({ awaySinceMs }) => awaySinceMs === undefined)]
  }

  /** Whom images are placed on, made ready to be ranked. */
  get owners(): Owners {
    this.#owners ??= new Owners(this.members)
    return this.#owners
  }

  /** This node takes copies. */
  get offersRoom(): boolean {
    return this.#self.room > 0
  }

  isPresent(peer: string): boolean {
    const known = this.#known.get(peer)
    return peer === this.#self.peer || (known !== undefined && known.awaySinceMs === undefined)
  }

  isIn(peer: string): boolean {
    return peer === this.#self.peer || this.#known.get(peer)?.isOut === false
  }

  /** More than a third are away: nobody leaves. */
  get isFrozen(): boolean {
    return this.#isFrozen
  }

  /** When somebody last came in, left, or offered another room. */
  get changedMs(): number {
    return this.#changedMs
  }

  /**
   * Who is connected now and has told what it offers. Returns true when owners may have changed. `isGone` tells of members that
   * nobody waits for: banned, or forgotten by an operator.
   */
  see(present: Iterable<Offer>, nowMs: number, isGone: (peer: string) => boolean = () => false): boolean {
    let isChanged = this.#leave(isGone)
    const here = new Set<string>()
    for (const offer of present) {
      if (offer.peer === this.#self.peer || isGone(offer.peer)) continue
      here.add(offer.peer)
      const known = this.#known.get(offer.peer)
      const [now, isNew] = heard(known, offer, nowMs)
      isChanged ||= isNew
      // Anew, so that those seen last are last.
      this.#known.delete(offer.peer)
      this.#known.set(offer.peer, now)
    }
    isChanged = this.#miss(here, nowMs) || isChanged
    this.#forgetOldest(here)
    if (isChanged) this.#change(nowMs)
    return isChanged
  }

  /** What this node offers. Returns true when owners may have changed. */
  offer(self: Offer, nowMs: number): boolean {
    if (!isOther(this.#self, self)) return false
    this.#self = self
    this.#change(nowMs)
    return true
  }

  /** For the next start. */
  rows(): RosterRow[] {
    return [...this.#known.values()].map(({ peer, room, site, isOut }) => {
      return { peer, room, isOut, ...(site === undefined ? {} : { site }) }
    })
  }

  #change(nowMs: number): void {
    this.#changedMs = nowMs
    this.#owners = undefined
  }

  #leave(isGone: (peer: string) => boolean): boolean {
    let isChanged = false
    for (const [peer, { isOut }] of this.#known) {
      if (!isGone(peer)) continue
      this.#known.delete(peer)
      isChanged ||= !isOut
    }
    return isChanged
  }

  #miss(here: Set<string>, nowMs: number): boolean {
    const inside = [...this.#known.values()].filter(({ isOut }) => !isOut)
    const away = inside.filter(({ peer }) => !here.has(peer))
    for (const member of away) member.awaySinceMs ??= nowMs
    this.#isFrozen = away.length * 3 > inside.length + 1
    let isChanged = false
    for (const member of away) {
      // After a cut those who are not back yet get their time anew.
      if (this.#isFrozen) member.awaySinceMs = nowMs
      else if (nowMs - (member.awaySinceMs ?? nowMs) >= outAfterMs) {
        member.isOut = true
        isChanged = true
      }
    }
    return isChanged
  }

  #forgetOldest(here: Set<string>): void {
    for (const peer of this.#known.keys()) {
      if (this.#known.size <= maxKnown) return
      if (!here.has(peer)) this.#known.delete(peer)
    }
  }
}

/** What a member is taken to offer now that it says this, and whether that is something else than before. */
function heard(known: Known | undefined, offer: Offer, nowMs: number): [Known, boolean] {
  const limit = known?.changes ?? new TokenBucket({ ...changes, nowMs })
  const said = { ...offer, isOut: false, changes: limit }
  if (known === undefined) return [said, true]
  if (!isOther(known, offer)) return [said, known.isOut]
  // Who is about to go, or has just come, says that it has no room, and is believed.
  if (offer.room === 0 && known.room > 0) return [said, true]
  if (limit.waitMs(nowMs) > 0) {
    const { awaySinceMs: _, ...before } = known
    return [{ ...before, isOut: false }, known.isOut]
  }
  limit.take(1, nowMs)
  return [said, true]
}

function isOther(a: Offer, b: Offer): boolean {
  return a.room !== b.room || a.site !== b.site
}
