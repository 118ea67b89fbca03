/** The thread that proves pieces, and the numbers of what is open in it. */
import type { Clock, Logger } from '../../base/base.ts'
import { RestingThread } from '../threads/resting-thread.ts'
import { threadOf, type WorkerThread } from '../threads/worker-thread.ts'
import type { PieceRequest, PieceValue } from './piece-protocol.ts'

export type PieceThread = WorkerThread<PieceRequest, PieceValue>

export class PiecePool implements AsyncDisposable {
  readonly #thread: RestingThread<PieceRequest, PieceValue>
  #nextFile = 0

  constructor(options: { clock: Clock; logger: Logger }) {
    const start = threadOf(import.meta.url, 'piece-worker')
    this.#thread = new RestingThread({ ...options, start, name: 'the piece thread' })
  }

  /** Whether blobs are on their way here. */
  get isBusy(): boolean {
    return this.#thread.users > 0
  }

  /** For a file that is open in it until `leave`. */
  enter(): PieceThread {
    return this.#thread.enter()
  }

  leave(): void {
    this.#thread.leave()
  }

  /** Starts it, for who is going to need it soon. */
  ready(): void {
    this.#thread.ready()
  }

  /** A number for a file that no other has in this run. */
  nextFile(): number {
    return this.#nextFile++
  }

  /** The SHA-256 of each piece of a part of a file, one after the other, and the sums of the part's blocks. */
  async hashPieces(
    path: string,
    part: { pieceBytes: number; start: number; end: number },
  ): Promise<{ hashes: Uint8Array; sums: Uint8Array }> {
    const thread = this.enter()
    try {
      const { hashes, sums } = await thread.call({ type: 'hash', file: this.nextFile(), path, ...part })
      if (hashes === undefined || sums === undefined) throw new Error('the piece thread gave no hashes')
      return { hashes, sums }
    } finally {
      this.leave()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread[Symbol.asyncDispose]()
  }
}
