/** One blob asked of one peer: pieces are asked for in few messages, what it says is checked, and its frames are put together. */
import { TokenBucket } from '../../base/base.ts'
import { MalformedError } from '../../wire/wire.ts'
import type { PeerNews } from '../picker/download-events.ts'
import { Bitfield } from '../protocol/bitfield.ts'
import { listPackLimit } from '../protocol/list-pack.ts'
import type { Answer, Ask } from '../protocol/messages.ts'
import { PieceAssembly } from '../protocol/piece-assembly.ts'
import { maxPiecesPerRequest } from '../protocol/piece-messages.ts'
import { type Layout, layoutOf, pieceLength } from '../protocol/piece-size.ts'
import type { DataFrame, ListFrame } from '../protocol/raw-frames.ts'
import type { Wanted } from '../protocol/wanted.ts'

/** What a peer told or sent, checked against the layout that follows from the size that it told. */
export type WantEvent =
  | PeerNews
  /** Replaces all that was known of the peer's pieces. `held` is live: read it only. */
  | { type: 'holds'; size: number; held: Bitfield }
  | { type: 'absent' }
  | { type: 'others'; keys: Uint8Array[] }
  | { type: 'list'; bytes: Uint8Array }
  | { type: 'no-list' }
  | { type: 'piece'; piece: number; chunks: Uint8Array[] }
  /** Nothing comes from here any more. */
  | { type: 'ended' }

export type WantListener = (event: WantEvent) => void

type WantAnswer = Extract<Answer, { id: number }>

/** Answers that bring no news: so many at once, and so many per second, before they count as an attack. */
const idleAnswers = 200
const idleAnswersPerSecond = 10
/** With so many to send, a peer need not hear of the next one at once. */
const plentyPieces = 8
const batchPieces = 4

export interface WantOptions {
  id: number
  wanted: Wanted
  listener: WantListener
  now(): number
  send(ask: Ask): void
  /** Pieces of a blob of this size are asked for. */
  onSize(bytes: number): void
  /** Bytes that the peer may still send although nothing waits for them any more. */
  forgive(bytes: number): void
  /** Bytes that nothing waited for. Throws `MALFORMED` when they were too many. */
  stray(bytes: number): void
}

export class Want {
  readonly id: number
  readonly wanted: Wanted
  readonly #options: WantOptions
  readonly #idle: TokenBucket
  /** Those that were asked for and did not come yet. */
  readonly #pieces = new Map<number, PieceAssembly>()
  /** Those of them of which the peer has yet to be told. */
  readonly #unsent = new Set<number>()
  #layout: Layout | undefined
  #held: Bitfield | undefined
  /** The list that was asked for, and what has come of it. */
  #list: PieceAssembly | 'asked' | undefined

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
    this.#options.onSize(layout.size)
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
  askList(from: number): void {
    if (this.#layout === undefined || this.#list !== undefined) return
    this.#list = 'asked'
    this.#options.send({ type: 'ask-list', id: this.id, ...(from === 0 ? {} : { from }) })
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
        this.forgetAll()
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
        if (this.waiting === 0) this.#idleAnswer()
        this.forgetAll()
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

  end(): void {
    this.forgetAll()
    this.#tell({ type: 'ended' })
  }

  /** Nothing that was asked for will come. */
  forgetAll(): void {
    this.#forget([...this.#pieces.keys()])
  }

  #aboutPieces(answer: WantAnswer & { type: 'update' | 'lost' | 'later' }): void {
    const [layout, held] = [this.#layout, this.#held]
    // A seeder that has it no more may have had these on their way.
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
    this.#tell({ type: 'holds', size: layout.size, held })
  }

  #data({ piece, offset, bytes }: DataFrame): void {
    let assembly = this.#pieces.get(piece)
    const isRest = assembly?.received === 0 && offset > 0
    if (assembly === undefined || isRest) {
      this.#options.stray(bytes.length)
      this.alive()
      return
    }
    if (offset === 0 && assembly.received > 0) {
      // Cancelled and asked for again: the first answer broke off in the middle, and this is the second.
      this.#options.stray(assembly.received)
      assembly = new PieceAssembly(assembly.length)
      this.#pieces.set(piece, assembly)
    }
    assembly.add(offset, bytes)
    const isWhole = assembly.complete
    if (isWhole) this.#came(piece)
    this.#tell({ type: 'bytes', piece, bytes: bytes.length })
    if (isWhole) this.#tell({ type: 'piece', piece, chunks: assembly.take() })
  }

  #came(piece: number): void {
    this.#pieces.delete(piece)
    this.#unsent.delete(piece)
    this.#options.send({ type: 'got', id: this.id, pieces: [piece] })
    this.#sendRequests()
  }

  #listFrame({ totalBytes, offset, bytes }: ListFrame): void {
    if (this.#list === undefined) throw new MalformedError('a piece list that was not asked for')
    const most = listPackLimit(this.#layout?.size ?? 0)
    const list = this.#list === 'asked' ? new PieceAssembly(totalBytes) : this.#list
    // Before anything is allocated for it.
    if (totalBytes > most || totalBytes !== list.length) {
      throw new MalformedError(`a piece list of ${totalBytes} bytes; at most ${most} are allowed`)
    }
    list.add(offset, bytes)
    this.#list = list.complete ? undefined : list
    if (list.complete) this.#tell({ type: 'list', bytes: new Uint8Array(Buffer.concat(list.take())) })
  }

  /** They will not come. */
  #forget(pieces: readonly number[]): void {
    for (const piece of pieces) {
      const assembly = this.#pieces.get(piece)
      if (assembly === undefined) continue
      this.#pieces.delete(piece)
      // Once for what is on its way, once for what a second request may find half sent.
      if (!this.#unsent.delete(piece)) this.#options.forgive(2 * assembly.length)
    }
    this.#sendRequests()
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
      this.#options.send({ type: 'request', id: this.id, pieces: part, ...(urgent && { urgent: 1 }) })
    }
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
