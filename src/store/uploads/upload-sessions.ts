/** Upload sessions: a row and a file each from the first byte on, one request at a time, proven and published at the end. */
import { randomUUID } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { ClosingError, Keyed } from '../../base/base.ts'
import type { Digest, Repository } from '../../oci/oci.ts'
import { StoreFullError, UploadConflictError } from '../errors.ts'
import { orMissing } from '../files/blob-files.ts'
import { pump } from '../ingest/body.ts'
import type { Publisher } from '../ingest/publisher.ts'
import type { Leases } from '../links/leases.ts'
import type { TableContext } from '../links/link-table.ts'
import type { AppendOptions, CreateOptions, PutOptions, UploadState, Uploads } from '../store.ts'
import { WorkerCallError } from '../threads/worker-thread.ts'
import { newSession, type Session, storedSession, takenOver, unknownSession } from './session.ts'
import { SessionEnd } from './session-end.ts'
import { SessionFiles } from './session-files.ts'
import { SessionRooms } from './session-rooms.ts'
import { SessionRows } from './session-rows.ts'
import { type Held, SessionSink } from './session-sink.ts'

export interface UploadLimits {
  maxBlobBytes: number
  /** With bytes; others give way, or are refused where all move. */
  maxSessions: number
  /** Idle sessions beyond this many close their file; going on with one hashes it again. */
  maxOpen: number
}

export class UploadSessions implements Uploads, AsyncDisposable {
  readonly #rows: SessionRows
  readonly #leases: Leases
  readonly #publisher: Publisher
  readonly #limits: UploadLimits
  readonly #rooms: SessionRooms
  readonly #files: SessionFiles
  readonly #sessions = new Map<string, Session>()
  readonly #turns = new Keyed()
  readonly #closing = new AbortController()
  readonly #held: Held = { bytes: 0 }
  readonly #end: SessionEnd

  constructor(context: TableContext, publisher: Publisher, limits: UploadLimits) {
    this.#rows = new SessionRows(context)
    this.#leases = context.leases
    this.#publisher = publisher
    this.#limits = limits
    this.#files = new SessionFiles(publisher, limits.maxOpen)
    this.#rooms = new SessionRooms(limits.maxSessions, () => this.#leases.now())
    this.#end = new SessionEnd({
      sessions: this.#sessions,
      rows: this.#rows,
      rooms: this.#rooms,
      files: this.#files,
      publisher,
    })
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Takes up the sessions of the last run, whose clients nobody remembers. */
  async load(): Promise<void> {
    const { files } = this.#publisher
    for await (const [id, row] of this.#rows.list()) {
      const file = await orMissing(stat(files.uploadPath(id)))
      if (file === undefined && row.finishing !== undefined) {
        // Killed between the rename and the commit: what the commit would have done.
        await this.#rows.commit(id, row.repository, row.finishing)
        continue
      }
      const session = storedSession(id, row)
      this.#sessions.set(id, session)
      this.#rooms.keep(session, file?.size ?? 0)
    }
  }

  has(id: string): boolean {
    return this.#sessions.has(id)
  }

  async create(
    repository: Repository,
    { algorithm = 'sha256', client }: CreateOptions = {},
  ): Promise<UploadState> {
    // A session is little, but no more of them begin on a full disk.
    await this.#publisher.space.take(1)
    this.#publisher.space.settle(1)
    const id = randomUUID()
    const session = newSession(id, { repository, algorithm, client, touchedMs: this.#leases.now() })
    this.#sessions.set(id, session)
    await this.#remove(this.#rooms.enter(session))
    return { id, repository, offset: 0 }
  }

  async find(repository: Repository, id: string): Promise<UploadState | undefined> {
    const session = this.#sessions.get(id)
    if (session?.row.repository !== repository) return undefined
    const { ingest, isStored } = session
    if (!isStored) return { id, repository, offset: 0 }
    if (ingest !== undefined && !ingest.isLost) return { id, repository, offset: ingest.accepted }
    const file = await orMissing(stat(this.#publisher.files.uploadPath(id)))
    return { id, repository, offset: file?.size ?? 0 }
  }

  async append(
    repository: Repository,
    id: string,
    body: AsyncIterable<Uint8Array>,
    options: AppendOptions = {},
  ): Promise<UploadState> {
    return await this.#take(repository, id, async (session, turn) => {
      using sink = await this.#receive(session, body, { ...options, turn })
      return { id, repository, offset: sink.accepted }
    })
  }

  async finish(repository: Repository, id: string, digest: Digest): Promise<{ size: number }> {
    return await this.#take(repository, id, (session) => this.#end.finish(session, digest))
  }

  async put(
    repository: Repository,
    id: string,
    body: AsyncIterable<Uint8Array>,
    digest: Digest,
    { admit = async () => undefined, ...options }: PutOptions = {},
  ): Promise<{ size: number }> {
    return await this.#take(repository, id, async (session, turn) => {
      using sink = await this.#receive(session, body, { ...options, turn, held: this.#held })
      try {
        await admit(sink.accepted)
      } catch (error) {
        await this.#end.drop(session)
        throw error
      }
      const { body: bytes } = sink
      return bytes === undefined
        ? await this.#end.finish(session, digest)
        : await this.#end.finishSmall(session, bytes, digest)
    })
  }

  async cancel(repository: Repository, id: string): Promise<boolean> {
    if (this.#sessions.get(id)?.row.repository !== repository) return false
    return await this.#take(repository, id, async (session) => {
      await this.#end.drop(session)
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
        await this.#end.drop(session)
        dropped++
      })
    }
    return dropped
  }

  /** Cuts off what runs; the sessions stay for the next run. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new ClosingError('the store is closing'))
    for (const session of this.#sessions.values()) {
      await this.#turns.run(session.id, async () => {
        await this.#files.forget(session)?.close()
      })
    }
  }

  async #receive(
    session: Session,
    body: AsyncIterable<Uint8Array>,
    { offset, transfer = false, signal, turn, held }: AppendOptions & { turn: AbortSignal; held?: Held },
  ): Promise<SessionSink> {
    const { id } = session
    const ingest = session.isStored ? await this.#files.open(session) : undefined
    const sink = new SessionSink(ingest, {
      open: async () => {
        await this.#fill(session)
        return await this.#files.open(session)
      },
      onProgress: (accepted) => this.#rooms.progress(id, accepted),
      held,
    })
    if (offset !== undefined && offset !== sink.accepted) throw new UploadConflictError(sink.accepted, offset)
    const signals = [turn, this.#closing.signal, ...(signal === undefined ? [] : [signal])]
    try {
      await pump(sink, body, {
        maxBytes: this.#limits.maxBlobBytes,
        transfer,
        signal: AbortSignal.any(signals),
      })
    } catch (error) {
      sink[Symbol.dispose]()
      if (turn.aborted && error === turn.reason) throw takenOver(session, sink.accepted)
      await this.#afterFailure(session, error)
      throw error
    } finally {
      await this.#rest(session)
    }
    return sink
  }

  /** Runs `work` when the session's earlier requests are cut off and done. */
  async #take<T>(
    repository: Repository,
    id: string,
    work: (session: Session, turn: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const session = this.#sessions.get(id)
    if (session?.row.repository !== repository) throw unknownSession(id)
    session.turn.abort()
    session.turn = new AbortController()
    const { signal } = session.turn
    return await this.#turns.run(id, async () => {
      this.#closing.signal.throwIfAborted()
      if (!this.#sessions.has(id)) throw unknownSession(id)
      return await work(session, signal)
    })
  }

  /** Makes it one that has bytes, and takes their place from those that have to go for it. */
  async #fill(session: Session): Promise<void> {
    const gone = this.#rooms.fill(session)
    session.isStored = true
    await this.#remove(gone)
    await this.#rows.save(session.id, session.row)
  }

  /** Those that give way to others; whoever is in the middle of a request to one is told that it is gone. */
  async #remove(ids: string[]): Promise<void> {
    for (const id of ids) {
      const session = this.#sessions.get(id)
      if (session === undefined) continue
      session.isGone = true
      session.turn.abort()
      await this.#turns.run(id, async () => {
        if (this.#sessions.has(id)) await this.#end.drop(session)
      })
    }
  }

  async #rest(session: Session): Promise<void> {
    if (!this.#sessions.has(session.id)) return
    session.row.touchedMs = this.#leases.now()
    if (session.isStored) await this.#rows.save(session.id, session.row)
    await this.#files.rest(session)
  }

  /** A write that failed for lack of room was rolled back; one that failed otherwise leaves bytes that nobody can vouch for. */
  async #afterFailure(session: Session, error: unknown): Promise<void> {
    if (error instanceof StoreFullError || !(error instanceof WorkerCallError)) return
    await this.#end.drop(session)
  }
}
