/** One blob asked of one peer: checks what the peer says about it, and puts its frames together. */
import type { Digest, Repository } from '../oci/oci.ts'
import { MalformedError } from '../wire/wire.ts'
import { Bitfield } from './bitfield.ts'
import { ListAssembly } from './list-assembly.ts'
import { type Answer, type Ask, maxPiecesPerRequest } from './messages.ts'
import { PieceAssembly } from './piece-assembly.ts'
import { type Layout, layoutOf, pieceLength } from './piece-size.ts'
import type { DataFrame, ListFrame } from './raw-frames.ts'
import { TokenBucket } from './token-bucket.ts'

export interface Wanted {
  repository: Repository
  digest: Digest
}

/** What a peer told or sent, checked against the layout that follows from the size that it told. */
export type WantEvent =
  /** Replaces all that was known of the peer's pieces. */
  | { type: 'holds'; size: number; held: Bitfield }
  | { type: 'absent' }
  | { type: 'has'; pieces: number[] }
  | { type: 'lost'; pieces: number[] }
  | { type: 'later'; pieces: number[]; instead: number[]; retryAfterMs: number }
  | { type: 'busy'; retryAfterMs: number }
  | { type: 'others'; keys: Uint8Array[] }
  | { type: 'list'; bytes: Uint8Array }
  | { type: 'no-list' }
  | { type: 'alive' }
  | { type: 'bytes'; piece: number; bytes: number }
  | { type: 'piece'; piece: number; chunks: Uint8Array[] }
  /** Everything that was asked for has to be asked for again. */
  | { type: 'reset' }
  /** Nothing comes from here any more. */
  | { type: 'ended' }

export type WantListener = (event: WantEvent) => void

type WantAnswer = Extract<Answer, { id: number }>

/** Answers that bring no news: so many at once, and so many per second, before they count as an attack. */
const idleAnswers = 200
const idleAnswersPerSecond = 10
const plentyPieces = 8
const batchPieces = 4

export interface WantOptions {
  id: number
  wanted: Wanted
  listener: WantListener
  send(ask: Ask): void
  /** Bytes that the peer may still send although nothing waits for them any more. */
  forgive(bytes: number): void
  /** Bytes that nothing waited for. Throws `MALFORMED` when they were too many. */
  stray(bytes: number): void
  now(): number
}

export class Want {
  readonly id: number
  readonly wanted: Wanted
  readonly #options: WantOptions
  readonly #idle: TokenBucket
  readonly #pieces = new Map<number, PieceAssembly>()
  /** Those of them of which the peer has yet to be told. */
  readonly #unsent = new Set<number>()
  #layout: Layout | undefined
  #held: Bitfield | undefined
  #list: ListAssembly | undefined

  constructor(options: WantOptions) {
    this.id = options.id
    this.wanted = options.wanted
    this.#options = options
    this.#idle = new TokenBucket({
      bytesPerSecond: idleAnswersPerSecond,
      burstBytes: idleAnswers,
      nowMs: options.now(),
    })
  }

  /** Pieces that were asked for and did not come yet. */
  get waiting(): number {
    return this.#pieces.size
  }

  request(pieces: readonly number[], urgent: boolean): void {
    const layout = this.#layout
    if (layout === undefined) throw new RangeError('pieces are asked for before the peer told what it holds')
    for (const piece of pieces) this.#pieces.set(piece, new PieceAssembly(pieceLength(layout, piece)))
    if (urgent) this.#sendRequest(pieces, true)
    else {
      for (const piece of pieces) this.#unsent.add(piece)
      this.#sendRequests()
    }
  }

  cancel(pieces: readonly number[]): void {
    const sent = pieces.filter((piece) => !this.#unsent.has(piece))
    this.#forget(pieces)
    for (const part of inParts(sent)) this.#options.send({ type: 'cancel', id: this.id, pieces: part })
  }

  cancelAll(): void {
    this.cancel([...this.#pieces.keys()])
  }

  bad(piece: number): void {
    this.#options.send({ type: 'bad', id: this.id, piece })
  }

  /** A `list` or `no-list` event follows. */
  askList(): void {
    if (this.#layout === undefined || this.#list !== undefined) return
    this.#list = new ListAssembly(this.#layout.size)
    this.#options.send({ type: 'list', id: this.id })
  }

  /** Throws `MALFORMED`. */
  receive(answer: WantAnswer | DataFrame | ListFrame): void {
    switch (answer.type) {
      case 'data':
        this.#data(answer)
        return
      case 'list':
        this.#listFrame(answer)
        return
      case 'no-list':
        if (this.#list === undefined) {
          this.#idleAnswer()
          return
        }
        this.#list = undefined
        this.#tell({ type: 'no-list' })
        return
      case 'absent':
        this.#idleAnswer()
        this.#forgetAll()
        this.#held = undefined
        this.#tell({ type: 'absent' })
        return
      case 'complete':
        this.#holds(layoutOf(answer.size), Bitfield.full(layoutOf(answer.size).count))
        return
      case 'partial': {
        const layout = layoutOf(answer.size)
        this.#holds(layout, Bitfield.parse(answer.bitfield, layout.count))
        return
      }
      case 'others':
        this.#idleAnswer()
        this.#tell({ type: 'others', keys: answer.peers })
        return
      case 'busy':
        if (this.#pieces.size === 0) this.#idleAnswer()
        this.#forgetAll()
        this.#tell({ type: 'busy', retryAfterMs: answer.retryAfterMs })
        return
      default:
        this.#aboutPieces(answer)
        return
    }
  }

  /** Also told when nothing is asked of the peer: it may be suspected of being gone, and nothing is asked of it for that. */
  alive(): void {
    this.#tell({ type: 'alive' })
  }

  /** What was asked for will not come: the lane is another one now. */
  reset(): void {
    this.#forgetAll()
    this.#tell({ type: 'reset' })
  }

  end(): void {
    this.#forgetAll()
    this.#tell({ type: 'ended' })
  }

  /** Lets go of everything, silently. */
  close(): void {
    this.#forgetAll()
  }

  #aboutPieces(answer: WantAnswer & { type: 'update' | 'lost' | 'later' }): void {
    const [layout, held] = [this.#layout, this.#held]
    // A holder that became absent may have had these on their way.
    if (layout === undefined || held === undefined) {
      this.#idleAnswer()
      return
    }
    const named = answer.type === 'later' ? [...answer.pieces, ...answer.instead] : answer.pieces
    const beyond = named.find((piece) => piece >= layout.count)
    if (beyond !== undefined) throw new MalformedError(`piece ${beyond} of a blob that has ${layout.count}`)
    if (answer.type === 'update') {
      const news = answer.pieces.filter((piece) => held.add(piece))
      if (news.length === 0) {
        this.#idleAnswer()
        return
      }
      this.#tell({ type: 'has', pieces: news })
      return
    }
    if (answer.type === 'lost') {
      this.#idleAnswer()
      for (const piece of answer.pieces) held.delete(piece)
      this.#forget(answer.pieces)
      this.#tell({ type: 'lost', pieces: answer.pieces })
      return
    }
    const asked = answer.pieces.filter((piece) => this.#pieces.has(piece))
    if (asked.length === 0) this.#idleAnswer()
    this.#forget(asked)
    this.#tell({
      type: 'later',
      pieces: asked,
      instead: answer.instead,
      retryAfterMs: answer.retryAfterMs,
    })
  }

  #holds(layout: Layout, held: Bitfield): void {
    this.#idleAnswer()
    if (this.#layout !== undefined && this.#layout.size !== layout.size) {
      throw new MalformedError(`the blob had ${this.#layout.size} bytes and now has ${layout.size}`)
    }
    this.#layout = layout
    this.#held = held
    this.#forget([...this.#pieces.keys()].filter((piece) => !held.has(piece)))
    this.#tell({ type: 'holds', size: layout.size, held: Bitfield.copy(held) })
  }

  #data({ piece, offset, bytes }: DataFrame): void {
    const assembly = this.#pieces.get(piece)
    const isRest = assembly?.received === 0 && offset > 0
    if (assembly === undefined || isRest) {
      this.#options.stray(bytes.length)
      this.#tell({ type: 'alive' })
      return
    }
    if (offset === 0 && assembly.received > 0) {
      // Cancelled and asked for again: the first answer broke off in the middle, and this is the second.
      this.#options.stray(assembly.received)
      this.#pieces.set(piece, new PieceAssembly(assembly.length))
    }
    const current = this.#pieces.get(piece) ?? assembly
    current.add(offset, bytes)
    this.#tell({ type: 'bytes', piece, bytes: bytes.length })
    if (!current.complete) return
    this.#pieces.delete(piece)
    this.#unsent.delete(piece)
    this.#sendRequests()
    this.#tell({ type: 'piece', piece, chunks: current.take() })
  }

  #listFrame(frame: ListFrame): void {
    if (this.#list === undefined) throw new MalformedError('a piece list that was not asked for')
    const bytes = this.#list.add(frame)
    if (bytes === undefined) return
    this.#list = undefined
    this.#tell({ type: 'list', bytes })
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
    for (const part of inParts(pieces)) {
      this.#options.send({ type: 'request', id: this.id, pieces: part, ...(urgent ? { urgent: 1 } : {}) })
    }
  }

  #forgetAll(): void {
    this.#forget([...this.#pieces.keys()])
  }

  #forget(pieces: readonly number[]): void {
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

  #idleAnswer(): void {
    if (this.#idle.take(1, this.#options.now()) > 0) throw new MalformedError('endless answers without news')
  }

  #tell(event: WantEvent): void {
    this.#options.listener(event)
  }
}

function inParts(pieces: readonly number[]): number[][] {
  const parts: number[][] = []
  for (let at = 0; at < pieces.length; at += maxPiecesPerRequest) {
    parts.push(pieces.slice(at, at + maxPiecesPerRequest))
  }
  return parts
}
