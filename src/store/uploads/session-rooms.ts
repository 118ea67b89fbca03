/** The two rooms of upload sessions: those that wait for their first byte cost little and are many, those with bytes have a file. */
import { UploadLimitError } from '../errors.ts'
import { SessionRoom, type Tenant } from './session-room.ts'

/** So many wait for each that may have bytes; a flood of more drives out a part of them at a time. */
const waitingPerSession = 4
const waitingBatch = 1 / 16

export interface Occupant extends Tenant {
  readonly id: string
}

export class SessionRooms {
  readonly #waiting: SessionRoom
  readonly #filled: SessionRoom
  readonly #max: number

  constructor(max: number, nowMs: () => number) {
    const maxWaiting = max * waitingPerSession
    this.#max = max
    this.#waiting = new SessionRoom({ max: maxWaiting, batch: Math.ceil(maxWaiting * waitingBatch), nowMs })
    this.#filled = new SessionRoom({ max, nowMs })
  }

  /** A session without bytes; resolves to the ids of those that have to go for it. */
  enter(session: Occupant): string[] {
    // None of them is ever at work.
    const gone = this.#waiting.yielding(session) ?? []
    for (const id of gone) this.#waiting.leave(id)
    this.#waiting.enter(session.id, session)
    return gone
  }

  /** Its first byte came. Throws UploadLimitError where all sessions that have bytes are at work. */
  fill(session: Occupant, bytes = 0): string[] {
    if (this.#filled.has(session.id)) return []
    const gone = this.#filled.yielding(session)
    if (gone === undefined)
      throw new UploadLimitError('sessions', `${this.#max} uploads are under way here; try again later`)
    for (const id of gone) this.#filled.leave(id)
    this.#waiting.leave(session.id)
    this.#filled.enter(session.id, session, bytes)
    return gone
  }

  /** It stays, whoever comes: one of the last run, or one that was about to be finished. */
  keep(session: Occupant, bytes: number): void {
    this.#filled.enter(session.id, session, bytes)
  }

  progress(id: string, bytes: number): void {
    this.#filled.progress(id, bytes)
  }

  leave(id: string): void {
    this.#waiting.leave(id)
    this.#filled.leave(id)
  }
}
