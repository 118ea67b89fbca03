/** How a session ends: proven, published and linked to its repository, or dropped. */
import { type Digest, OciError } from '../../oci/oci.ts'
import { WorkerLostError } from '../errors.ts'
import { asStoreError } from '../files/disk-space.ts'
import type { Ingest } from '../ingest/ingest.ts'
import type { Publisher } from '../ingest/publisher.ts'
import type { Session } from './session.ts'
import type { SessionFiles } from './session-files.ts'
import type { SessionRooms } from './session-rooms.ts'
import type { SessionRows } from './session-rows.ts'

export interface SessionParts {
  sessions: Map<string, Session>
  rows: SessionRows
  rooms: SessionRooms
  files: SessionFiles
  /** Those whose bytes are held while nobody asks for anything of them. */
  resting: Set<Session>
  publisher: Publisher
}

export class SessionEnd {
  readonly #parts: SessionParts

  constructor(parts: SessionParts) {
    this.#parts = parts
  }

  async finish(session: Session, digest: Digest): Promise<{ size: number }> {
    const { id, repository } = session
    // It has all its bytes, so nobody takes its place any more.
    this.#parts.rooms.leave(id)
    if (session.held.length > 0) return await this.#finishSmall(session, digest)
    let ingest: Ingest | undefined
    try {
      const open = await this.#parts.files.open(session)
      session.isStored = true
      // Refused here, it is as it was: the client can finish it once there is room.
      await this.#parts.rows.save(session.id, { ...session.row, finishing: digest })
      session.row.finishing = digest
      this.#parts.files.forget(session)
      ingest = open
      return await this.#parts.publisher.publish(ingest, id, digest, async () => {
        await this.#parts.rows.commit(id, repository, digest)
        this.#parts.sessions.delete(id)
      })
    } catch (error) {
      // After a lost thread the bytes are still good; after anything else they are wrong, gone, or not sure to be on disk.
      const { accepted = 0 } = ingest ?? session.ingest ?? {}
      if (ingest === undefined) await this.#parts.files.rest(session)
      if (ingest === undefined || error instanceof WorkerLostError) this.#parts.rooms.keep(session, accepted)
      else await this.drop(session)
      throw asStoreError(error)
    }
  }

  /** A session whose bytes are held, which has no file and no row, nor needs any. What keeps them from the disk leaves it as it was. */
  async #finishSmall(session: Session, digest: Digest): Promise<{ size: number }> {
    const { id, repository, held } = session
    try {
      const finished = await this.#parts.publisher.publishSmall(id, held.bytes, digest, (sums) =>
        this.#parts.rows.commit(id, repository, digest, sums),
      )
      this.#parts.sessions.delete(id)
      held[Symbol.dispose]()
      return finished
    } catch (error) {
      if (error instanceof OciError) await this.drop(session)
      else this.#parts.rooms.keep(session, held.length)
      throw error
    }
  }

  async drop(session: Session): Promise<void> {
    const ingest = this.#parts.files.forget(session)
    this.#parts.sessions.delete(session.id)
    this.#parts.rooms.leave(session.id)
    this.#parts.resting.delete(session)
    session.held[Symbol.dispose]()
    if (!session.isStored) return
    await ingest?.close()
    // The row first: an unproven session that is finishing and has no file would pass for a proven one.
    await this.#parts.rows.remove(session.id, session.row)
    await this.#parts.publisher.files.removeUpload(session.id)
  }
}
