/**
 * Other lists than the one that is downloaded by, each put to the test beside it: one piece that both tell something else of is
 * asked of who gave the other. A list that gives a piece much sooner than the download gets on is to be tried instead of it.
 */
import { hash } from 'node:crypto'
import type { WantEvent } from '../peer/want.ts'
import { pieceHash } from '../protocol/piece-list.ts'
import { pieceLength } from '../protocol/piece-size.ts'
import { type Candidate, isAgreedOn, type Rival } from './list-candidates.ts'
import type { HoldingSource, Source } from './source.ts'

interface Trial extends Rival {
  piece: number
  sinceMs: number
  /** Bytes per millisecond, once the piece has come. */
  rate: number | undefined
}

/** A rival has so long to give a piece, and what it gave counts for so long. */
const trialMs = 3000
/** A download is given so long at least, and so many times what the rival's piece took. */
const leastMs = 300
const slotMs = 100
const patience = 4
/** So much less than the rival is no progress. */
const worth = 1 / 8
/** Of pieces that are waited for; one may be larger. */
const maxBytes = 8 * 1024 * 1024

export class Trials {
  readonly #current: Candidate
  #begunMs: number
  readonly #trials = new Map<Candidate, Trial>()
  /** What came in each of the last slots of time, the latest one last. */
  #gains: { slot: number; bytes: number }[] = []

  constructor(current: Candidate, nowMs: number) {
    this.#current = current
    this.#begunMs = nowMs
  }

  /** Nothing is wanted that could have come. */
  idle(nowMs: number): void {
    this.#begunMs = nowMs
  }

  /** Bytes of a piece that matches the current list have come. */
  gained(bytes: number, nowMs: number): void {
    const slot = Math.floor(nowMs / slotMs)
    const last = this.#gains.at(-1)
    if (last?.slot === slot) {
      last.bytes += bytes
      return
    }
    this.#gains.push({ slot, bytes })
    if (this.#gains.length > trialMs / slotMs) this.#gains.shift()
  }

  /** Asks a rival that is not on trial yet for a piece. */
  begin({ candidate, giver }: Rival, nowMs: number): void {
    if (this.#trials.has(candidate)) return
    const piece = this.#disputed(candidate, giver)
    if (piece === undefined || (this.#trials.size > 0 && this.#waiting >= maxBytes)) return
    this.#trials.set(candidate, { candidate, giver, piece, sinceMs: nowMs, rate: undefined })
    giver.want.request([piece], true)
  }

  /** The trial that a giver sent this for, if any, and whether it is right by the giver's own list. */
  heard(source: Source, event: WantEvent, nowMs: number): (Trial & { isRight: boolean }) | undefined {
    if (event.type !== 'piece') return undefined
    for (const trial of this.#trials.values()) {
      const { candidate, giver, piece } = trial
      if (giver !== source || piece !== event.piece || trial.rate !== undefined) continue
      const digest = hash('sha256', Buffer.concat(event.chunks), 'buffer')
      if (Buffer.compare(digest, pieceHash(candidate.list, piece)) !== 0) {
        this.#trials.delete(candidate)
        return { ...trial, isRight: false }
      }
      trial.rate = pieceLength(candidate.list.layout, piece) / Math.max(1, nowMs - trial.sinceMs)
      return { ...trial, isRight: true }
    }
    return undefined
  }

  /** The rival to be tried instead, if any. Those that took too long are let go: `onVain` hears of them. */
  verdict(nowMs: number, onVain: (candidate: Candidate) => void): Candidate | undefined {
    for (const { candidate, giver, piece, sinceMs, rate } of [...this.#trials.values()]) {
      if (rate !== undefined) {
        const took = pieceLength(candidate.list.layout, piece) / rate
        const windowMs = Math.min(trialMs, Math.max(leastMs, patience * took))
        const isYoung = nowMs - this.#begunMs < windowMs
        if (!isYoung && this.#gainedIn(windowMs, nowMs) < worth * rate * windowMs) return candidate
      }
      if (nowMs - sinceMs <= trialMs) continue
      this.#trials.delete(candidate)
      if (rate === undefined) giver.want.cancel([piece])
      onVain(candidate)
    }
    return undefined
  }

  close(): void {
    for (const { giver, piece, rate } of this.#trials.values()) {
      if (rate === undefined) giver.want.cancel([piece])
    }
    this.#trials.clear()
  }

  get #waiting(): number {
    const open = [...this.#trials.values()].filter(({ rate }) => rate === undefined)
    return open.reduce((sum, { candidate, piece }) => sum + pieceLength(candidate.list.layout, piece), 0)
  }

  #gainedIn(windowMs: number, nowMs: number): number {
    const since = Math.floor((nowMs - windowMs) / slotMs)
    return this.#gains.reduce((sum, { slot, bytes }) => sum + (slot >= since ? bytes : 0), 0)
  }

  #disputed({ list }: Candidate, { holds }: HoldingSource): number | undefined {
    for (let piece = 0; piece < list.known; piece++) {
      if (holds.held.has(piece) && !isAgreedOn(list, this.#current.list, piece)) return piece
    }
    return undefined
  }
}
