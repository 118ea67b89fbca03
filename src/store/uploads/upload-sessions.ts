/** Upload sessions: a row and a file each from the first byte on, one request at a time, proven and published at the end. */
import { randomUUID } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { ClosingError, Keyed } from '../../base/base.ts'
import type { Digest, Repository } from '../../oci/oci.ts'
import { unlessFull } from '../blobs/sum-table.ts'
import { orMissing } from '../files/blob-files.ts'
import type { Publisher } from '../ingest/publisher.ts'
import type { Leases } from '../links/leases.ts'
import type { TableContext } from '../links/link-table.ts'
import type { AppendOptions, CreateOptions, PutOptions, UploadState, Uploads } from '../store.ts'
import { HeldBytes, HeldRoom } from './held-bytes.ts'
import { newSession, type Session, storedSession, unknownSession } from './session.ts'
import { SessionEnd, type SessionParts } from './session-end.ts'
import { SessionFiles } from './session-files.ts'
import { SessionIntake } from './session-intake.ts'
import { SessionRooms } from './session-rooms.ts'
import { SessionRows } from './session-rows.ts'

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
  readonly #rooms: SessionRooms
  readonly #files: SessionFiles
  readonly #sessions = new Map<string, Session>()
  readonly #turns = new Keyed()
  readonly #closing = new AbortController()
  readonly #held = new HeldRoom()
  /** Whose bytes are held while nobody asks for anything of them, the one that rests longest first. */
  readonly #resting = new Set<Session>()
  readonly #end: SessionEnd
  readonly #intake: SessionIntake

  constructor(context: TableContext, publisher: Publisher, limits: UploadLimits) {
    this.#rows = new SessionRows(context)
    this.#leases = context.leases
    this.#publisher = publisher
    this.#files = new SessionFiles(publisher, limits.maxOpen)
    this.#rooms = new SessionRooms(limits.maxSessions, () => this.#leases.now())
    const parts: SessionParts = {
      sessions: this.#sessions,
      rows: this.#rows,
      rooms: this.#rooms,
      files: this.#files,
      resting: this.#resting,
      publisher,
    }
    this.#end = new SessionEnd(parts)
    this.#intake = new SessionIntake({
      ...parts,
      end: this.#end,
      turns: this.#turns,
      leases: this.#leases,
      maxBlobBytes: limits.maxBlobBytes,
      closing: this.#closing.signal,
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
      const session = storedSession(id, new HeldBytes(this.#held), row)
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
    const facts = { repository, algorithm, client, touchedMs: this.#leases.now() }
    const session = newSession(id, new HeldBytes(this.#held), facts)
    this.#sessions.set(id, session)
    await this.#intake.giveWay(this.#rooms.enter(session))
    return { id, repository, offset: 0 }
  }

  async find(repository: Repository, id: string): Promise<UploadState | undefined> {
    const session = this.#sessions.get(id)
    if (session?.row.repository !== repository) return undefined
    const { ingest, isStored, held } = session
    if (!isStored) return { id, repository, offset: held.length }
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
      const sink = await this.#intake.receive(session, body, { ...options, turn, isLast: false })
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
      const sink = await this.#intake.receive(session, body, { ...options, turn, isLast: true })
      try {
        await admit(sink.accepted)
      } catch (error) {
        await this.#end.drop(session)
        throw error
      }
      return await this.#end.finish(session, digest)
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
    const reason = new ClosingError('the store is closing')
    this.#closing.abort(reason)
    for (const session of this.#sessions.values()) session.turn.abort(reason)
    for (const session of this.#sessions.values()) {
      await this.#turns.run(session.id, async () => {
        if (session.held.length > 0) await unlessFull(() => this.#intake.spill(session))
        await this.#files.forget(session)?.close()
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
    if (session?.row.repository !== repository) throw unknownSession(id)
    if (this.#turns.busy(id)) {
      session.turn.abort()
      session.turn = new AbortController()
    }
    const { signal } = session.turn
    return await this.#turns.run(id, async () => {
      this.#resting.delete(session)
      this.#closing.signal.throwIfAborted()
      if (!this.#sessions.has(id)) throw unknownSession(id)
      try {
        return await work(session, signal)
      } finally {
        if (session.held.length > 0) this.#resting.add(session)
      }
    })
  }
}
