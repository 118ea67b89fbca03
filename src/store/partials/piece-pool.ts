/** The thread that proves pieces: started when first needed, replaced when it dies. */
import { ClosingError, type Logger } from '../../base/base.ts'
import { startWorker, WorkerThread } from '../threads/worker-thread.ts'
import type { PieceRequest, PieceValue } from './piece-protocol.ts'

export type PieceThread = WorkerThread<PieceRequest, PieceValue>

export class PiecePool implements AsyncDisposable {
  readonly #logger: Logger
  #thread: PieceThread | undefined
  #nextFile = 0
  #closed = false

  constructor(logger: Logger) {
    this.#logger = logger
  }

  thread(): PieceThread {
    if (this.#closed) throw new ClosingError('the store is closed')
    if (this.#thread !== undefined && !this.#thread.isLost) return this.#thread
    this.#thread = new WorkerThread<PieceRequest, PieceValue>(
      startWorker(import.meta.url, 'piece-worker'),
      (lost) => {
        if (!this.#closed) this.#logger.error({ err: lost }, 'the piece thread died; it is replaced')
      },
    )
    return this.#thread
  }

  /** A number for a file that no other has in this run. */
  nextFile(): number {
    return this.#nextFile++
  }

  /** The SHA-256 of each piece of a file, one after the other. */
  async hashPieces(path: string, pieceBytes: number): Promise<Uint8Array> {
    const { hashes } = await this.thread().call({ type: 'hash', file: this.nextFile(), path, pieceBytes })
    if (hashes === undefined) throw new Error('the piece thread gave no hashes')
    return hashes
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.#thread?.[Symbol.asyncDispose]()
  }
}
