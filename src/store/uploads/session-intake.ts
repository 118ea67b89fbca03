/** How a session takes in a request's body: held in memory while all of it is small, else in a file, in the place of those that give way. */
import type { Keyed } from '../../base/base.ts'
import { StoreFullError, takesNothing, UploadConflictError, UploadLimitError } from '../errors.ts'
import { pump } from '../ingest/body.ts'
import type { Ingest } from '../ingest/ingest.ts'
import type { Leases } from '../links/leases.ts'
import type { AppendOptions } from '../store.ts'
import { WorkerCallError } from '../threads/worker-thread.ts'
import { type Session, takenOver } from './session.ts'
import type { SessionEnd, SessionParts } from './session-end.ts'
import { SessionSink } from './session-sink.ts'

export interface SessionIntakeParts extends SessionParts {
  end: SessionEnd
  turns: Keyed
  leases: Leases
  maxBlobBytes: number
  closing: AbortSignal
}

export interface ReceiveOptions extends AppendOptions {
  turn: AbortSignal
  /** The session ends with it: it takes no place, unless it needs a file. */
  isLast: boolean
}

export class SessionIntake {
  readonly #parts: SessionIntakeParts

  constructor(parts: SessionIntakeParts) {
    this.#parts = parts
  }

  /** Resolves when the body ended and what was accepted is written, or held. */
  async receive(
    session: Session,
    body: AsyncIterable<Uint8Array>,
    { offset, transfer = false, signal, turn, isLast }: ReceiveOptions,
  ): Promise<SessionSink> {
    const ingest = session.isStored ? await this.#parts.files.open(session) : undefined
    const sink = this.#sinkOf(session, ingest, { isLast })
    const before = sink.accepted
    if (offset !== undefined && offset !== before) throw new UploadConflictError(before, offset)
    try {
      await pump(sink, body, {
        maxBytes: this.#parts.maxBlobBytes,
        transfer,
        signal: signal === undefined ? turn : AbortSignal.any([turn, signal]),
      })
    } catch (error) {
      if (turn.aborted && error === turn.reason && !this.#parts.closing.aborted)
        throw takenOver(session, sink.accepted)
      await this.#afterFailure(session, before, error)
      throw error
    } finally {
      await this.#rest(session)
    }
    return sink
  }

  #sinkOf(session: Session, ingest: Ingest | undefined, { isLast }: { isLast: boolean }): SessionSink {
    return new SessionSink(ingest, {
      held: session.held,
      // What is finished at once takes no place.
      enter: async () => {
        if (!isLast) await this.giveWay(this.#parts.rooms.fill(session))
      },
      makeRoom: () => this.#makeRoom(),
      open: async () => {
        await this.#fill(session)
        return await this.#parts.files.open(session)
      },
      onProgress: (accepted) => this.#parts.rooms.progress(session.id, accepted),
    })
  }

  /** Of those that hold their bytes in memory and are asked for nothing, the one that rests longest goes to the disk. */
  async #makeRoom(): Promise<void> {
    const [longest] = this.#parts.resting
    if (longest === undefined) return
    // Never two who wait for each other: what is in its turn does not rest.
    this.#parts.resting.delete(longest)
    await this.#parts.turns.run(longest.id, async () => {
      this.#parts.resting.delete(longest)
      if (longest.held.length === 0) return
      try {
        await this.spill(longest)
      } catch (error) {
        // Whoever wants its place is told the same by the disk; it is begun again.
        await this.#parts.end.drop(longest)
        if (!takesNothing(error) && !(error instanceof UploadLimitError)) throw error
      }
    })
  }

  /** What is held of it goes to its file. For who has its turn. */
  async spill(session: Session): Promise<void> {
    const sink = this.#sinkOf(session, undefined, { isLast: false })
    try {
      await sink.spill()
    } finally {
      await sink.end()
    }
    await this.#parts.files.rest(session)
  }

  /** Makes it one that has bytes, and takes their place from those that have to go for it. */
  async #fill(session: Session): Promise<void> {
    const gone = this.#parts.rooms.fill(session)
    session.isStored = true
    await this.giveWay(gone)
    await this.#parts.rows.save(session.id, session.row)
  }

  /** Those that give way to others; whoever is in the middle of a request to one is told that it is gone. */
  async giveWay(ids: string[]): Promise<void> {
    for (const id of ids) {
      const session = this.#parts.sessions.get(id)
      if (session === undefined) continue
      session.isGone = true
      session.turn.abort()
      await this.#parts.turns.run(id, async () => {
        if (this.#parts.sessions.has(id)) await this.#parts.end.drop(session)
      })
    }
  }

  async #rest(session: Session): Promise<void> {
    if (!this.#parts.sessions.has(session.id)) return
    session.row.touchedMs = this.#parts.leases.now()
    if (session.isStored) await this.#parts.rows.save(session.id, session.row)
    await this.#parts.files.rest(session)
  }

  /**
   * A write that failed for lack of room was rolled back; one that failed otherwise leaves bytes that nobody can vouch for, and one
   * of what was held lost them, of which the client was told that so many are `kept`.
   */
  async #afterFailure(session: Session, kept: number, error: unknown): Promise<void> {
    const hasLost = session.isStored && session.held.length > 0
    if (hasLost) session.held[Symbol.dispose]()
    const isRolledBack = error instanceof StoreFullError || !(error instanceof WorkerCallError)
    if (!isRolledBack || (hasLost && kept > 0)) await this.#parts.end.drop(session)
  }
}
