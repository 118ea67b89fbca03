/** Upload sessions whose bytes are kept in memory. */
import { randomUUID } from 'node:crypto'
import { Keyed } from '../base/base.ts'
import type { Digest, Repository } from '../oci/oci.ts'
import { type BodySink, pump } from './body.ts'
import { UploadConflictError, UploadLimitError, UploadUnknownError } from './errors.ts'
import type { MemoryContent } from './memory-content.ts'
import type { BodyOptions, UploadState, Uploads } from './store.ts'

interface Session extends UploadState {
  readonly sink: MemorySink
  touchedMs: number
  /** Aborted when a later request takes the session over. */
  turn: AbortController
}

/** Copies what it is given: a chunk's memory may be used again. */
export class MemorySink implements BodySink {
  accepted = 0
  readonly #chunks: Uint8Array[] = []

  begin(): void {
    // Nothing to prepare.
  }

  async add(chunk: Uint8Array): Promise<void> {
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
  readonly #maxSessions: number
  readonly #maxBytes: number
  readonly #sessions = new Map<string, Session>()
  readonly #turns = new Keyed()

  constructor(content: MemoryContent, maxSessions: number, maxBytes: number) {
    this.#content = content
    this.#maxSessions = maxSessions
    this.#maxBytes = maxBytes
  }

  async create(repository: Repository): Promise<UploadState> {
    if (this.#sessions.size >= this.#maxSessions)
      throw new UploadLimitError('sessions', `${this.#maxSessions} upload sessions are open already`)
    const id = randomUUID()
    this.#sessions.set(id, {
      id,
      repository,
      offset: 0,
      sink: new MemorySink(),
      touchedMs: this.#content.clock.now(),
      turn: new AbortController(),
    })
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
    { offset, signal }: BodyOptions & { offset?: number } = {},
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
        if (turn.aborted && error === turn.reason) throw new UploadConflictError(sink.accepted)
        throw error
      }
      return { id, repository, offset: sink.accepted }
    })
  }

  async finish(repository: Repository, id: string, digest: Digest): Promise<{ size: number }> {
    return await this.#take(repository, id, async ({ sink }) => {
      this.#sessions.delete(id)
      const bytes = sink.bytes()
      this.#content.addBlob(digest, bytes)
      this.#content.link(repository, digest)
      return { size: bytes.length }
    })
  }

  async cancel(repository: Repository, id: string): Promise<boolean> {
    if (this.#sessions.get(id)?.repository !== repository) return false
    return await this.#take(repository, id, async () => this.#sessions.delete(id))
  }

  async expire(idleMs: number): Promise<number> {
    let dropped = 0
    for (const [id, session] of [...this.#sessions]) {
      if (this.#turns.busy(id) || this.#content.clock.now() - session.touchedMs <= idleMs) continue
      this.#sessions.delete(id)
      dropped++
    }
    return dropped
  }

  /** Runs `work` when the session's earlier requests are cut off and done. */
  async #take<T>(
    repository: Repository,
    id: string,
    work: (session: Session, turn: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const session = this.#sessions.get(id)
    if (session?.repository !== repository) throw new UploadUnknownError(`there is no upload session ${id}`)
    session.turn.abort()
    session.turn = new AbortController()
    const { signal } = session.turn
    return await this.#turns.run(id, async () => {
      if (!this.#sessions.has(id)) throw new UploadUnknownError(`there is no upload session ${id}`)
      try {
        return await work(session, signal)
      } finally {
        session.touchedMs = this.#content.clock.now()
      }
    })
  }
}
