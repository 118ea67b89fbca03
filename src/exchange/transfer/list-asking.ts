/** Whom to ask for the list of a blob's pieces, and when. */
import type { Clock } from '../../base/base.ts'
import { listPackLimit } from '../protocol/list-pack.ts'
import type { PieceHashes } from '../protocol/piece-hashes.ts'
import type { HoldingSource, Source } from './source.ts'
import type { Sources } from './sources.ts'

/** A peer that has not sent its list for so long does not keep another from being asked. */
const patienceMs = 150
const refusedMs = 1000
/** And one that has not for so long is let go, for what has come of it is in memory. */
const silentMs = 10_000
const maxWaitingBytes = 16 * 1024 * 1024

export class ListAsking {
  readonly #sources: Sources
  readonly #clock: Clock
  /** So many are asked next. */
  #atOnce = 1

  constructor(sources: Sources, clock: Clock) {
    this.#sources = sources
    this.#clock = clock
  }

  /** Asks seeders for their lists: one first, and twice as many each time that none has answered. */
  ask(): void {
    const sources = this.#sources
    const nowMs = this.#clock.now()
    let waitingBytes = 0
    for (const source of sources.holding()) {
      const age = nowMs - source.listAskedMs
      if (source.list === 'refused' && age > refusedMs) source.list = 'none'
      if (source.list !== 'asked') continue
      if (age < patienceMs) return
      waitingBytes += listPackLimit(source.holds.size)
    }
    this.#leaveSilent(nowMs)
    // Who has nothing yet that it could give may not know a hash either. Whoever claims most is asked last.
    const able = sources
      .holding()
      .filter(({ list, holds }) => list === 'none' && (holds.held.held > 0 || holds.size === 0))
    able.sort(
      (a, b) => Number(b.holds.held.complete) - Number(a.holds.held.complete) || a.holds.size - b.holds.size,
    )
    for (const source of able.slice(0, this.#atOnce)) {
      waitingBytes += listPackLimit(source.holds.size)
      if (waitingBytes > maxWaitingBytes) return
      source.askList(nowMs)
    }
    if (able.length > 0) this.#atOnce *= 2
  }

  /** Asks someone who holds more than the list tells of how it goes on. */
  grow({ known, complete, layout }: PieceHashes, isGood: (source: HoldingSource) => boolean): void {
    if (complete) return
    const nowMs = this.#clock.now()
    this.#leaveSilent(nowMs)
    const holding = this.#sources.holding().filter(({ holds }) => holds.size === layout.size)
    if (holding.some(({ list, listAskedMs }) => list === 'asked' && nowMs - listAskedMs < patienceMs)) return
    // In turn: who tells little at a time is not the only one to be asked.
    const [next] = holding
      .filter(
        (source) => this.#mayAsk(source, known, nowMs) && source.holds.held.hasFrom(known) && isGood(source),
      )
      .sort((a, b) => a.listAskedMs - b.listAskedMs)
    next?.askList(nowMs, known)
  }

  /** Who owes a list is not asked for another; asked anew as a source, it is. */
  #leaveSilent(nowMs: number): void {
    for (const source of this.#sources.holding()) {
      if (source.list === 'asked' && nowMs - source.listAskedMs > silentMs)
        this.#sources.shun(source, 'for-now')
    }
  }

  /** One that can be read has come. */
  answered(): void {
    this.#atOnce = 1
  }

  #mayAsk({ list, listAskedMs, listFrom }: Source, from: number, nowMs: number): boolean {
    if (list === 'given') return listFrom !== from || nowMs - listAskedMs > patienceMs
    return list === 'none' || (list === 'refused' && nowMs - listAskedMs > refusedMs)
  }
}
