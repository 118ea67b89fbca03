/**
 * Other lists than the one that is downloaded by, each put to the test beside it: one piece that both tell something else of is
 * asked of who gave the other. A list that gives a piece much sooner than the download gets on is to be tried instead of it. Pure.
 */
import { hash } from 'node:crypto'
import { pieceHash } from '../protocol/piece-list.ts'
import { pieceLength } from '../protocol/piece-size.ts'
import type { Candidate, Giver, Holding } from './candidates.ts'

export interface Trial<G> {
  readonly candidate: Candidate
  readonly giver: G
  readonly piece: number
  readonly sinceMs: number
  /** What its piece took, once that has come. */
  tookMs: number | undefined
  /** The download is compared from here on. */
  mark: { ms: number; bytes: number }
}

/** A rival has so long to give a piece, and what it gave counts for so long. */
const trialMs = 3000
/** A download is given so long at least, and so many times what the rival's piece took. */
const leastMs = 300
const patience = 4
/** So much less than the rival is no progress. */
const worth = 1 / 8
/** Of pieces that are waited for; one may be larger. */
const maxBytes = 8 * 1024 * 1024

export class Trials<G extends Giver> {
  readonly #trials = new Map<Candidate, Trial<G>>()
  /** By the download. */
  #gainedBytes = 0

  gained(bytes: number): void {
    this.#gainedBytes += bytes
  }

  /** Nothing is wanted that could have come. */
  idle(nowMs: number): void {
    for (const trial of this.#trials.values()) trial.mark = { ms: nowMs, bytes: this.#gainedBytes }
  }

  /** The piece to ask of the giver, if the rival is not on trial yet. */
  begin(candidate: Candidate, giver: Holding<G>, current: Candidate, nowMs: number): number | undefined {
    if (this.#trials.has(candidate) || (this.#trials.size > 0 && this.#waitingBytes >= maxBytes))
      return undefined
    const { list } = candidate
    for (let piece = 0; piece < list.known; piece++) {
      if (!giver.holds.held.has(piece) || candidate.agreesOn(piece, current)) continue
      const mark = { ms: nowMs, bytes: this.#gainedBytes }
      this.#trials.set(candidate, { candidate, giver, piece, sinceMs: nowMs, tookMs: undefined, mark })
      return piece
    }
    return undefined
  }

  /** The trial that a giver sent this for, if any, and whether it is right by the giver's own list. */
  heard(
    giver: G,
    piece: number,
    chunks: Uint8Array[],
    nowMs: number,
  ): (Trial<G> & { isRight: boolean }) | undefined {
    for (const trial of this.#trials.values()) {
      if (trial.giver !== giver || trial.piece !== piece || trial.tookMs !== undefined) continue
      const digest = hash('sha256', Buffer.concat(chunks), 'buffer')
      const isRight = Buffer.compare(digest, pieceHash(trial.candidate.list, piece)) === 0
      if (isRight) trial.tookMs = Math.max(1, nowMs - trial.sinceMs)
      else this.#trials.delete(trial.candidate)
      return { ...trial, isRight }
    }
    return undefined
  }

  /** The rival to be tried instead, if any. */
  better(nowMs: number): Candidate | undefined {
    for (const trial of this.#trials.values()) {
      const { candidate, piece, tookMs, mark } = trial
      const passedMs = nowMs - mark.ms
      if (tookMs === undefined || passedMs < Math.min(trialMs, Math.max(leastMs, patience * tookMs))) continue
      const bytesPerMs = pieceLength(candidate.list.layout, piece) / tookMs
      if (this.#gainedBytes - mark.bytes < worth * bytesPerMs * passedMs) return candidate
      trial.mark = { ms: nowMs, bytes: this.#gainedBytes }
    }
    return undefined
  }

  /** Lets go of those that took too long, or of all. */
  end(untilMs = Number.POSITIVE_INFINITY): Trial<G>[] {
    const over = [...this.#trials.values()].filter(({ sinceMs }) => untilMs - sinceMs > trialMs)
    for (const { candidate } of over) this.#trials.delete(candidate)
    return over
  }

  get #waitingBytes(): number {
    const open = [...this.#trials.values()].filter(({ tookMs }) => tookMs === undefined)
    return open.reduce((sum, { candidate, piece }) => sum + pieceLength(candidate.list.layout, piece), 0)
  }
}
