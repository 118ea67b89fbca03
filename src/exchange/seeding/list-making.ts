/** The list of one stored blob while it is made: its pieces are hashed from the first on, some at a time, and what is known by then can be told. */
import type { Digest } from '../../oci/oci.ts'
import { BlobUnavailableError } from '../errors.ts'
import { type Prefix, pieceHashBytes, prefixOf, type SignedPieceList } from '../protocol/piece-list.ts'
import { type Layout, layoutOf } from '../protocol/piece-size.ts'

/** The SHA-256 of each of these pieces of a stored blob, one after the other: from `from`, before `to`. */
export type HashPieces = (digest: Digest, range: { from: number; to: number }) => Promise<Uint8Array>

export interface ListMakingOptions {
  digest: Digest
  size: number
  hashPieces: HashPieces
  /** What was made before. */
  find(): Promise<SignedPieceList | undefined>
  /** Signs and keeps all of them. */
  vouch(hashes: Uint8Array): Promise<SignedPieceList>
  signal: AbortSignal
  onEnd(): void
}

/** A slow disk reads it in a tenth of a second. Whole blocks of the sums by which the store checks what it reads. */
export const turnBytes = 8 * 1024 * 1024

export class ListMaking {
  /** Rejects when the blob cannot be read any more. */
  readonly whole: Promise<SignedPieceList>
  /** Resolves when it is whole, or is not going to be. */
  readonly settled: Promise<void>
  readonly #options: ListMakingOptions
  readonly #layout: Layout
  readonly #hashes: Uint8Array
  #known = 0
  #users = 0
  #isStopped = false
  #more = Promise.withResolvers<void>()

  constructor(options: ListMakingOptions) {
    this.#options = options
    this.#layout = layoutOf(options.size)
    this.#hashes = new Uint8Array(this.#layout.count * pieceHashBytes)
    this.whole = this.#run()
    // Whoever waits for it hears of a failure.
    this.settled = this.whole.then(
      () => undefined,
      () => undefined,
    )
  }

  get blob(): { digest: Digest; size: number } {
    return this.#options
  }

  /** What is known from the piece `from` on, as soon as that is something; `undefined` when that is all: who waits for all is given all. */
  async beyond(from: number): Promise<{ hashes: Uint8Array; after: Prefix } | undefined> {
    const { count } = this.#layout
    while (this.#known <= from && this.#known < count) await Promise.race([this.#more.promise, this.whole])
    if (this.#known === count) return undefined
    const known = this.#hashes.subarray(0, this.#known * pieceHashBytes)
    return { hashes: known.slice(from * pieceHashBytes), after: prefixOf({ hashes: known }, from) }
  }

  /** It goes on until the last who has entered has left. */
  enter(): this {
    this.#users++
    return this
  }

  leave(): void {
    this.#users--
  }

  /** What it read may be wrong. */
  stop(): void {
    this.#isStopped = true
  }

  async #run(): Promise<SignedPieceList> {
    const { find, vouch, onEnd } = this.#options
    try {
      const found = await find()
      if (found === undefined) {
        await this.#hash()
        return await vouch(this.#hashes)
      }
      this.#known = this.#layout.count
      return found
    } catch (error) {
      // Nothing is told of what failed.
      this.#known = 0
      throw error
    } finally {
      onEnd()
    }
  }

  async #hash(): Promise<void> {
    const { digest, hashPieces, signal } = this.#options
    const { count, pieceBytes } = this.#layout
    const atOnce = Math.max(1, turnBytes / pieceBytes)
    while (this.#known < count) {
      const range = { from: this.#known, to: Math.min(count, this.#known + atOnce) }
      const hashes = await hashPieces(digest, range)
      signal.throwIfAborted()
      if (this.#users === 0) throw new BlobUnavailableError(digest, 'nobody asks for its list any more')
      if (this.#isStopped) throw new BlobUnavailableError(digest, 'what was read of it may be wrong')
      this.#hashes.set(hashes, range.from * pieceHashBytes)
      this.#known = range.to
      this.#more.resolve()
      this.#more = Promise.withResolvers()
    }
  }
}
