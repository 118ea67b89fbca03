/** Upload sessions whose bytes are kept in memory. */
import { randomUUID } from 'node:crypto'
import { Keyed } from '../../base/base.ts'
import type { Digest, Repository } from '../../oci/oci.ts'
import { UploadConflictError, UploadUnknownError } from '../errors.ts'
import { type BodySink, pump } from '../ingest/body.ts'
import type { AppendOptions, CreateOptions, PutOptions, UploadState, Uploads } from '../store.ts'
import { SessionRooms } from '../uploads/session-rooms.ts'
import type { MemoryContent } from './memory-content.ts'

interface Session extends UploadState {
  readonly client: string
  readonly sink: MemorySink
  touchedMs: number
  /** Aborted when a later request takes the session over. */
  turn: AbortController
}

/** Copies what it is given: a chunk's memory may be used again. */
export class MemorySink implements BodySink {
  accepted = 0
  readonly #chunks: Uint8Array[] = []
  readonly #onAdd: () => void

  /** `onAdd` is called before each chunk, and may refuse it. */
  constructor(onAdd: () => void = () => undefined) {
    this.#onAdd = onAdd
  }

  begin(): void {
    // Nothing to prepare.
  }

  async add(chunk: Uint8Array): Promise<void> {
    this.#onAdd()
    this.#chunks.push(Uint8Array.from(chunk))
    this.accepted += chunk.length
  }

  async end(): Promise<void> {
    // Everything is where it stays.
  }

  bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#chunks))
  }
}

export class MemoryUploads implements Uploads {
  readonly #content: MemoryContent
  readonly #rooms: SessionRooms
  readonly #maxBytes: number
  readonly #sessions = new Map<string, Session>()
  readonly #turns = new Keyed()

  constructor(content: MemoryContent, maxSessions: number, maxBytes: number) {
    this.#content = content
    this.#rooms = new SessionRooms(maxSessions, () => content.clock.now())
    this.#maxBytes = maxBytes
  }

  async create(repository: Repository, { client = '' }: CreateOptions = {}): Promise<UploadState> {
    const id = randomUUID()
    const session: Session = {
      id,
      repository,
      client,
      offset: 0,
      sink: new MemorySink(() => this.#progress(session)),
      touchedMs: this.#content.clock.now(),
      turn: new AbortController(),
    }
    this.#sessions.set(id, session)
    this.#remove(this.#rooms.enter(session))
    return { id, repository, offset: 0 }
  }

  async find(repository: Repository, id: string): Promise<UploadState | undefined> {
    const session = this.#sessions.get(id)
    return session?.repository === repository ? { id, repository, offset: session.sink.accepted } : undefined
  }

  async append(
    repository: Repository,
    id: string,
    body: AsyncIterable<Uint8Array>,
    { offset, signal }: AppendOptions = {},
  ): Promise<UploadState> {
    return await this.#take(repository, id, async ({ sink }, turn) => {
      if (offset !== undefined && offset !== sink.accepted)
        throw new UploadConflictError(sink.accepted, offset)
      try {
        await pump(sink, body, {
          maxBytes: this.#maxBytes,
          transfer: false,
          signal: signal === undefined ? turn : AbortSignal.any([turn, signal]),
        })
      } catch (error) {
        if (turn.aborted && error === turn.reason && this.#sessions.has(id))
          throw new UploadConflictError(sink.accepted)
        if (!this.#sessions.has(id)) throw unknown(id)
        throw error
      }
      return { id, repository, offset: sink.accepted }
    })
  }

  async finish(repository: Repository, id: string, digest: Digest): Promise<{ size: number }> {
    return await this.#take(repository, id, async ({ sink }) => {
      this.#forget(id)
      const bytes = sink.bytes()
      this.#content.addBlob(digest, bytes)
      this.#content.link(repository, digest)
      return { size: bytes.length }
    })
  }

  async put(
    repository: Repository,
    id: string,
    body: AsyncIterable<Uint8Array>,
    digest: Digest,
    { admit, ...options }: PutOptions = {},
  ): Promise<{ size: number }> {
    const { offset } = await this.append(repository, id, body, options)
    try {
      await admit?.(offset)
    } catch (error) {
      await this.cancel(repository, id)
      throw error
    }
    return await this.finish(repository, id, digest)
  }

  async cancel(repository: Repository, id: string): Promise<boolean> {
    if (this.#sessions.get(id)?.repository !== repository) return false
    return await this.#take(repository, id, async () => this.#forget(id))
  }

  async expire(idleMs: number): Promise<number> {
    let dropped = 0
    for (const [id, session] of [...this.#sessions]) {
      if (this.#turns.busy(id) || this.#content.clock.now() - session.touchedMs <= idleMs) continue
      this.#forget(id)
      dropped++
    }
    return dropped
  }

  #progress(session: Session): void {
    const { id, sink } = session
    if (sink.accepted === 0) this.#remove(this.#rooms.fill(session))
    else this.#rooms.progress(id, sink.accepted)
  }

  #remove(ids: string[]): void {
    for (const id of ids) {
      const session = this.#sessions.get(id)
      this.#forget(id)
      session?.turn.abort()
    }
  }

  #forget(id: string): boolean {
    this.#rooms.leave(id)
    return this.#sessions.delete(id)
  }

  /** Runs `work` when the session's earlier requests are cut off and done. */
  async #take<T>(
    repository: Repository,
    id: string,
    work: (session: Session, turn: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const session = this.#sessions.get(id)
    if (session?.repository !== repository) throw unknown(id)
    session.turn.abort()
    session.turn = new AbortController()
    const { signal } = session.turn
    return await this.#turns.run(id, async () => {
      if (!this.#sessions.has(id)) throw unknown(id)
      try {
        return await work(session, signal)
      } finally {
        session.touchedMs = this.#content.clock.now()
      }
    })
  }
}

function unknown(id: string): UploadUnknownError {
  return new UploadUnknownError(`there is no upload session ${id}`)
}
