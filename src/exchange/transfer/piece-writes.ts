/** What is written of a blob that goes by one piece list: pieces of peers and of the origin, and hashes as they become known. */
import type { PartialBlob } from '../../store/store.ts'
import type { PieceHashes } from '../protocol/piece-hashes.ts'
import { pieceHash, pieceHashBytes } from '../protocol/piece-list.ts'

export interface PieceWritesOptions {
  list: PieceHashes
  partial: PartialBlob
  /** Pieces whose hashes the part knows, from the first on. */
  onKnown(pieces: number): void
  /** Something could not be written. */
  onFailure(error: unknown): void
}

export class PieceWrites {
  readonly #options: PieceWritesOptions
  readonly #running = new Set<Promise<void>>()
  #known: number

  constructor(options: PieceWritesOptions) {
    this.#options = options
    // The list may have grown while the part was being opened.
    this.#known = options.partial.plan.hashes.length / pieceHashBytes
  }

  get known(): number {
    return this.#known
  }

  /** Work on the part; its failure is told. */
  start(work: () => Promise<void>): void {
    const running = work().catch((error: unknown) => this.#options.onFailure(error))
    this.#running.add(running)
    void running.finally(() => this.#running.delete(running))
  }

  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  /** The list has grown, by what others signed. */
  learn(): void {
    const { list, partial, onKnown } = this.#options
    if (list.known <= this.#known) return
    const from = this.#known
    const hashes = list.hashes.slice(from * pieceHashBytes)
    this.#known = list.known
    this.start(async () => {
      await partial.learn(from, hashes)
      onKnown(from + hashes.length / pieceHashBytes)
    })
  }

  /** Writes what came from the origin; false when others signed another hash for it. */
  async take(piece: number, bytes: Uint8Array): Promise<boolean> {
    const { list, partial, onKnown } = this.#options
    this.learn()
    if (piece < list.known) return await partial.write(piece, [bytes])
    const hash = await partial.take(piece, [bytes])
    // Another may have brought it at the same time.
    if (piece < list.known) return Buffer.compare(pieceHash(list, piece), hash) === 0
    list.append(hash)
    if (piece >= this.#known) {
      this.#known = piece + 1
      onKnown(this.#known)
    }
    return true
  }
}
