/** Upload sessions: a row and a file each, one request at a time, proven and published at the end. */
import { randomUUID } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { Keyed } from '../base/base.ts'
import type { Digest, DigestAlgorithm, Repository } from '../oci/oci.ts'
import { orMissing } from './blob-files.ts'
import { pump } from './body.ts'
import type { SessionRow } from './database.ts'
import { asStoreError } from './disk-space.ts'
import {
  StoreFullError,
  UploadConflictError,
  UploadLimitError,
  UploadUnknownError,
  WorkerLostError,
} from './errors.ts'
import type { Ingest } from './ingest.ts'
import type { Leases } from './leases.ts'
import type { TableContext } from './link-table.ts'
import type { Publisher } from './publisher.ts'
import { SessionRows } from './session-rows.ts'
import type { BodyOptions, UploadState, Uploads } from './store.ts'
import { WorkerCallError } from './worker-thread.ts'

export interface UploadLimits {
  maxBlobBytes: number
  maxSessions: number
  /** Idle sessions beyond this many close their file; going on with one hashes it again. */
  maxOpen: number
}

interface Session {
  readonly id: string
  readonly row: SessionRow
  ingest: Ingest | undefined
  /** Aborted when a later request takes the session over. */
  turn: AbortController
}

export class UploadSessions implements Uploads, AsyncDisposable {
  readonly #rows: SessionRows
  readonly #leases: Leases
  readonly #publisher: Publisher
  readonly #limits: UploadLimits
  readonly #sessions = new Map<string, Session>()
  readonly #turns = new Keyed()
  /** Sessions with an open file, the one idle for longest first. */
  readonly #open = new Set<Session>()
  readonly #closing = new AbortController()

  constructor(context: TableContext, publisher: Publisher, limits: UploadLimits) {
    this.#rows = new SessionRows(context)
    this.#leases = context.leases
    this.#publisher = publisher
    this.#limits = limits
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Takes up the sessions of the last run; there are never more than the limit. */
  async load(): Promise<void> {
    const { files } = this.#publisher
    for await (const [id, row] of this.#rows.list()) {
      const moved = row.finishing !== undefined && (await orMissing(stat(files.uploadPath(id)))) === undefined
      if (!moved) this.#sessions.set(id, newSession(id, row))
      // Killed between the rename and the commit: what the commit would have done.
      else if (row.finishing !== undefined) await this.#rows.commit(id, row.repository, row.finishing)
    }
  }

  has(id: string): boolean {
    return this.#sessions.has(id)
  }

  async create(
    repository: Repository,
    { algorithm = 'sha256' }: { algorithm?: DigestAlgorithm } = {},
  ): Promise<UploadState> {
    if (this.#sessions.size >= this.#limits.maxSessions)
      throw new UploadLimitError('sessions', `${this.#limits.maxSessions} upload sessions are open already`)
    const id = randomUUID()
    const session = newSession(id, { repository, algorithm, touchedMs: this.#leases.now() })
    this.#sessions.set(id, session)
    try {
      // A session is little, but no more of them begin on a full disk.
      await this.#publisher.space.take(1)
      this.#publisher.space.settle(1)
      await this.#rows.save(session.id, session.row)
    } catch (error) {
      this.#sessions.delete(id)
      throw error
    }
    return { id, repository, offset: 0 }
  }

  async find(repository: Repository, id: string): Promise<UploadState | undefined> {
    const session = this.#sessions.get(id)
    if (session?.row.repository !== repository) return undefined
    const { ingest } = session
    if (ingest !== undefined && !ingest.isLost) return { id, repository, offset: ingest.accepted }
    const file = await orMissing(stat(this.#publisher.files.uploadPath(id)))
    return { id, repository, offset: file?.size ?? 0 }
  }

  async append(
    repository: Repository,
    id: string,
    body: AsyncIterable<Uint8Array>,
    { offset, transfer = false, signal }: BodyOptions & { offset?: number } = {},
  ): Promise<UploadState> {
    return await this.#take(repository, id, async (session, turn) => {
      const ingest = await this.#opened(session)
      if (offset !== undefined && offset !== ingest.accepted)
        throw new UploadConflictError(ingest.accepted, offset)
      const signals = [turn, this.#closing.signal, ...(signal === undefined ? [] : [signal])]
      try {
        await pump(ingest, body, {
          maxBytes: this.#limits.maxBlobBytes,
          transfer,
          signal: AbortSignal.any(signals),
        })
      } catch (error) {
        if (turn.aborted && error === turn.reason) throw new UploadConflictError(ingest.accepted)
        await this.#afterFailure(session, error)
        throw error
      } finally {
        await this.#rest(session)
      }
      return { id, repository, offset: ingest.accepted }
    })
  }

  async finish(repository: Repository, id: string, digest: Digest): Promise<{ size: number }> {
    return await this.#take(repository, id, async (session) => {
      const ingest = await this.#opened(session)
      this.#forgetFile(session)
      try {
        session.row.finishing = digest
        await this.#rows.save(session.id, session.row)
        return await this.#publisher.publish(ingest, id, digest, async () => {
          await this.#rows.commit(id, repository, digest)
          this.#sessions.delete(id)
        })
      } catch (error) {
        // After a lost thread the bytes are still good; after anything else they are wrong, gone, or not sure to be on disk.
        if (!(error instanceof WorkerLostError)) await this.#drop(session)
        throw asStoreError(error)
      }
    })
  }

  async cancel(repository: Repository, id: string): Promise<boolean> {
    if (this.#sessions.get(id)?.row.repository !== repository) return false
    return await this.#take(repository, id, async (session) => {
      await this.#drop(session)
      return true
    })
  }

  async expire(idleMs: number): Promise<number> {
    let dropped = 0
    for (const session of [...this.#sessions.values()]) {
      const idle = (): boolean =>
        !this.#turns.busy(session.id) && this.#leases.now() - session.row.touchedMs > idleMs
      if (!idle()) continue
      await this.#turns.run(session.id, async () => {
        if (this.#sessions.get(session.id) !== session) return
        if (this.#leases.now() - session.row.touchedMs <= idleMs) return
        await this.#drop(session)
        dropped++
      })
    }
    return dropped
  }

  /** Cuts off what runs; the sessions stay for the next run. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    for (const session of this.#sessions.values()) {
      await this.#turns.run(session.id, async () => {
        const { ingest } = session
        this.#forgetFile(session)
        await ingest?.close()
      })
    }
  }

  /** Runs `work` when the session's earlier requests are cut off and done. */
  async #take<T>(
    repository: Repository,
    id: string,
    work: (session: Session, turn: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const session = this.#sessions.get(id)
    if (session?.row.repository !== repository) throw unknown(id)
    session.turn.abort()
    session.turn = new AbortController()
    const { signal } = session.turn
    return await this.#turns.run(id, async () => {
      this.#closing.signal.throwIfAborted()
      if (!this.#sessions.has(id)) throw unknown(id)
      return await work(session, signal)
    })
  }

  async #opened(session: Session): Promise<Ingest> {
    if (session.ingest === undefined || session.ingest.isLost) {
      this.#forgetFile(session)
      session.ingest = await this.#publisher.open(session.id, session.row.algorithm)
    }
    this.#open.delete(session)
    return session.ingest
  }

  /** After a request: the session's file stays open, unless too many do. */
  async #rest(session: Session): Promise<void> {
    if (!this.#sessions.has(session.id)) return
    session.row.touchedMs = this.#leases.now()
    if (session.ingest !== undefined) this.#open.add(session)
    await this.#rows.save(session.id, session.row)
    for (const oldest of this.#open) {
      if (this.#open.size <= this.#limits.maxOpen) break
      const { ingest } = oldest
      this.#forgetFile(oldest)
      await ingest?.close()
    }
  }

  /** A write that failed for lack of room was rolled back; one that failed otherwise leaves bytes that nobody can vouch for. */
  async #afterFailure(session: Session, error: unknown): Promise<void> {
    if (error instanceof StoreFullError || !(error instanceof WorkerCallError)) return
    await this.#drop(session)
  }

  async #drop(session: Session): Promise<void> {
    const { ingest } = session
    this.#sessions.delete(session.id)
    this.#forgetFile(session)
    await ingest?.close()
    // The row first: an unproven session that is finishing and has no file would pass for a proven one.
    await this.#rows.remove(session.id, session.row)
    await this.#publisher.files.removeUpload(session.id)
  }

  #forgetFile(session: Session): void {
    session.ingest = undefined
    this.#open.delete(session)
  }
}

function newSession(id: string, row: SessionRow): Session {
  return { id, row, ingest: undefined, turn: new AbortController() }
}

function unknown(id: string): UploadUnknownError {
  return new UploadUnknownError(`there is no upload session ${JSON.stringify(id.slice(0, 80))} here`)
}
