/** What a download knows of each piece: held, asked for, by how many peers it is held, and which ones are still to ask for. */
import { Bitfield } from '../protocol/bitfield.ts'
import type { Layout } from '../protocol/piece-size.ts'
import type { WantedPieces } from './download-events.ts'
import type { PieceRequest } from './download-peer.ts'

export class PieceBoard {
  readonly layout: Layout
  readonly held: Bitfield
  /** How many known peers hold each piece. */
  readonly availability: Uint16Array
  /** Wanted, and neither held nor asked for, in no order. */
  readonly open: number[] = []
  readonly #openAt: Int32Array
  /** Pieces from the first on that can be checked, and so asked for. */
  #known: number
  readonly #requests = new Map<number, PieceRequest[]>()
  /** How many want each piece, and how many all of them. */
  readonly #wants: Uint32Array
  #wholes = 0

  constructor(layout: Layout, held: Bitfield | undefined, known = layout.count) {
    this.layout = layout
    this.held = held === undefined ? new Bitfield(layout.count) : Bitfield.copy(held)
    this.availability = new Uint16Array(layout.count)
    this.#openAt = new Int32Array(layout.count).fill(-1)
    this.#wants = new Uint32Array(layout.count)
    this.#known = 0
    this.learn(known)
  }

  /** Nothing is left to be asked for, now or later. */
  get isEnd(): boolean {
    if (this.open.length > 0) return false
    for (let piece = this.#known; piece < this.layout.count; piece++) if (this.isWanted(piece)) return false
    return true
  }

  /** Whether all that is wanted is here. */
  get isSated(): boolean {
    if (this.held.complete) return true
    if (this.#wholes > 0) return false
    return this.#wants.every((wants, piece) => wants === 0 || this.held.has(piece))
  }

  /** As many more, or fewer, want these. */
  want(pieces: WantedPieces, by: 1 | -1): void {
    if (pieces === 'all') this.#wholes += by
    else {
      for (const { from, to } of pieces) {
        for (let piece = from; piece < to; piece++) this.#wants[piece] = (this.#wants[piece] ?? 0) + by
      }
    }
    for (let piece = 0; piece < this.#known; piece++) this.#settle(piece)
  }

  isWanted(piece: number): boolean {
    return this.#wholes > 0 || (this.#wants[piece] ?? 0) > 0
  }

  /** The first piece, from `from` on, that is wanted, or of which nobody can tell the hash yet, and that is nowhere. */
  firstAbsent(from: number): number | undefined {
    for (let piece = from; piece < this.layout.count; piece++) {
      if (this.held.has(piece) || (this.availability[piece] ?? 0) > 0) continue
      if (piece >= this.#known || this.isWanted(piece)) return piece
    }
    return undefined
  }

  /** So many pieces can be asked for from now on. */
  learn(known: number): void {
    for (; this.#known < known; this.#known++) this.#settle(this.#known)
  }

  requestsFor(piece: number): readonly PieceRequest[] {
    return this.#requests.get(piece) ?? []
  }

  isOpen(piece: number): boolean {
    return (this.#openAt[piece] ?? -1) >= 0
  }

  count(piece: number, by: 1 | -1): void {
    this.availability[piece] = (this.availability[piece] ?? 0) + by
  }

  countAll(field: Bitfield, by: 1 | -1): void {
    for (let piece = 0; piece < field.count; piece++) if (field.has(piece)) this.count(piece, by)
  }

  addRequest(request: PieceRequest): void {
    const requests = this.#requests.get(request.piece)
    if (requests === undefined) this.#requests.set(request.piece, [request])
    else requests.push(request)
    this.#close(request.piece)
  }

  /** Returns whether the piece is to be asked for again. */
  removeRequest(request: PieceRequest): boolean {
    const requests = this.#requests.get(request.piece)
    const at = requests?.indexOf(request) ?? -1
    if (requests === undefined || at < 0) return false
    requests.splice(at, 1)
    if (requests.length > 0) return false
    this.#requests.delete(request.piece)
    return this.#settle(request.piece)
  }

  /** Returns the requests that have become pointless. */
  arrive(piece: number): PieceRequest[] {
    const requests = this.#requests.get(piece) ?? []
    this.#requests.delete(piece)
    this.held.add(piece)
    this.#close(piece)
    return requests
  }

  /** Returns whether it is to be asked for. */
  #settle(piece: number): boolean {
    const isToAsk = !this.held.has(piece) && !this.#requests.has(piece) && this.isWanted(piece)
    if (!isToAsk) this.#close(piece)
    else if (!this.isOpen(piece)) this.#openAt[piece] = this.open.push(piece) - 1
    return isToAsk
  }

  #close(piece: number): void {
    const at = this.#openAt[piece] ?? -1
    if (at < 0) return
    const last = this.open.pop() ?? piece
    if (last !== piece) {
      this.open[at] = last
      this.#openAt[last] = at
    }
    this.#openAt[piece] = -1
  }
}
