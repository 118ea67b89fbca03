/** The pieces that one peer was asked for: told to it in few messages, and put together as their frames come. */
import { MalformedError } from '../../wire/wire.ts'
import type { Ask } from '../protocol/messages.ts'
import { PieceAssembly } from '../protocol/piece-assembly.ts'
import { maxPiecesPerRequest } from '../protocol/piece-messages.ts'
import { type Layout, pieceLength } from '../protocol/piece-size.ts'
import { type DataFrame, leastChunkBytes } from '../protocol/raw-frames.ts'

export interface AskedPiecesOptions {
  /** Of the want. */
  id: number
  send(ask: Ask): void
  /** Bytes that the peer may still send although nothing waits for them any more. */
  forgive(bytes: number): void
  /** Bytes that nothing waited for. Throws `MALFORMED` when they were too many. */
  stray(bytes: number): void
}

/** With so many to send, a peer need not hear of the next one at once. */
const plentyPieces = 8
const batchPieces = 4

export class AskedPieces {
  readonly #options: AskedPiecesOptions
  readonly #pieces = new Map<number, PieceAssembly>()
  /** Those of them of which the peer has yet to be told. */
  readonly #unsent = new Set<number>()

  constructor(options: AskedPiecesOptions) {
    this.#options = options
  }

  /** How many did not come yet. */
  get size(): number {
    return this.#pieces.size
  }

  has(piece: number): boolean {
    return this.#pieces.has(piece)
  }

  all(): number[] {
    return [...this.#pieces.keys()]
  }

  request(pieces: readonly number[], urgent: boolean, layout: Layout): void {
    for (const piece of pieces) this.#pieces.set(piece, new PieceAssembly(pieceLength(layout, piece)))
    if (urgent) this.#sendRequest(pieces, true)
    else {
      for (const piece of pieces) this.#unsent.add(piece)
      this.#sendRequests()
    }
  }

  cancel(pieces: readonly number[]): void {
    const sent = pieces.filter((piece) => !this.#unsent.has(piece))
    this.forget(pieces)
    for (const part of inParts(sent)) {
      this.#options.send({ type: 'cancel', id: this.#options.id, pieces: part })
    }
  }

  /** They will not come. */
  forget(pieces: readonly number[]): void {
    for (const piece of pieces) {
      const assembly = this.#pieces.get(piece)
      if (assembly === undefined) continue
      this.#pieces.delete(piece)
      if (this.#unsent.delete(piece)) continue
      // Once for what is on its way, once for what a second request may find half sent.
      this.#options.forgive(2 * assembly.length)
    }
    this.#sendRequests()
  }

  /** Whether the frame was waited for, and the whole piece once it is. Throws `MALFORMED`. */
  add({ piece, offset, bytes }: DataFrame): { isAsked: boolean; whole?: Uint8Array[] } {
    let assembly = this.#pieces.get(piece)
    const isRest = assembly?.received === 0 && offset > 0
    if (assembly === undefined || isRest) {
      this.#options.stray(bytes.length)
      return { isAsked: false }
    }
    if (offset === 0 && assembly.received > 0) {
      // Cancelled and asked for again: the first answer broke off in the middle, and this is the second.
      this.#options.stray(assembly.received)
      assembly = new PieceAssembly(assembly.length)
      this.#pieces.set(piece, assembly)
    }
    if (bytes.length < leastChunkBytes && offset + bytes.length < assembly.length) {
      throw new MalformedError(`${bytes.length} bytes of a piece in one frame`)
    }
    assembly.add(offset, bytes)
    if (!assembly.complete) return { isAsked: true }
    this.#pieces.delete(piece)
    this.#unsent.delete(piece)
    this.#options.send({ type: 'got', id: this.#options.id, pieces: [piece] })
    this.#sendRequests()
    return { isAsked: true, whole: assembly.take() }
  }

  /** While the peer has plenty to do, several requests go in one message. */
  #sendRequests(): void {
    const sent = this.#pieces.size - this.#unsent.size
    if (this.#unsent.size === 0 || (sent >= plentyPieces && this.#unsent.size < batchPieces)) return
    const pieces = [...this.#unsent]
    this.#unsent.clear()
    this.#sendRequest(pieces, false)
  }

  #sendRequest(pieces: readonly number[], urgent: boolean): void {
    const { id, send } = this.#options
    for (const part of inParts(pieces)) {
      send({ type: 'request', id, pieces: part, ...(urgent ? { urgent: 1 } : {}) })
    }
  }
}

function inParts(pieces: readonly number[]): number[][] {
  const parts: number[][] = []
  for (let at = 0; at < pieces.length; at += maxPiecesPerRequest) {
    parts.push(pieces.slice(at, at + maxPiecesPerRequest))
  }
  return parts
}
