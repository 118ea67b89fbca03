/** The open files of upload sessions: idle ones beyond a number are closed, the one idle for longest first. */
import type { Ingest } from '../ingest/ingest.ts'
import type { Publisher } from '../ingest/publisher.ts'
import type { Session } from './session.ts'

export class SessionFiles {
  readonly #publisher: Pick<Publisher, 'open'>
  readonly #maxIdle: number
  /** The one idle for longest first. */
  readonly #idle = new Set<Session>()

  constructor(publisher: Pick<Publisher, 'open'>, maxIdle: number) {
    this.#publisher = publisher
    this.#maxIdle = maxIdle
  }

  /** For a request; what is closed is hashed again. */
  async open(session: Session): Promise<Ingest> {
    if (session.ingest === undefined || session.ingest.isLost) {
      // One whose thread died counts as a user of the next until it is closed.
      await this.forget(session)?.close()
      session.ingest = await this.#publisher.open(session.id, session.row.algorithm)
    }
    this.#idle.delete(session)
    return session.ingest
  }

  /** After a request: the session's file stays open, unless too many do. */
  async rest(session: Session): Promise<void> {
    if (session.ingest !== undefined) this.#idle.add(session)
    for (const oldest of this.#idle) {
      if (this.#idle.size <= this.#maxIdle) break
      await this.forget(oldest)?.close()
    }
  }

  /** What was open of it is the caller's to close. */
  forget(session: Session): Ingest | undefined {
    const { ingest } = session
    session.ingest = undefined
    this.#idle.delete(session)
    return ingest
  }
}
