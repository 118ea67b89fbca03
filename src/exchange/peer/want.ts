/** One blob asked of one peer: checks what the peer says about it, and puts its frames together. */
import { TokenBucket } from '../../base/base.ts'
import { MalformedError } from '../../wire/wire.ts'
import type { PeerNews } from '../picker/download-events.ts'
import { Bitfield } from '../protocol/bitfield.ts'
import { ListAssembly } from '../protocol/list-assembly.ts'
import type { Answer } from '../protocol/messages.ts'
import { type Layout, layoutOf } from '../protocol/piece-size.ts'
import type { DataFrame, ListFrame } from '../protocol/raw-frames.ts'
import type { Wanted } from '../protocol/wanted.ts'
import { AskedPieces, type AskedPiecesOptions } from './asked-pieces.ts'

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

export interface WantOptions extends AskedPiecesOptions {
  wanted: Wanted
  listener: WantListener
  now(): number
  /** Pieces of a blob of this size are asked for. */
  onSize(bytes: number): void
}

export class Want {
  readonly id: number
  readonly wanted: Wanted
  readonly #options: WantOptions
  readonly #idle: TokenBucket
  readonly #asked: AskedPieces
  #layout: Layout | undefined
  #held: Bitfield | undefined
  #list: ListAssembly | undefined

  constructor(options: WantOptions) {
    this.id = options.id
    this.wanted = options.wanted
    this.#options = options
    this.#asked = new AskedPieces(options)
    this.#idle = new TokenBucket({
      bytesPerSecond: idleAnswersPerSecond,
      burstBytes: idleAnswers,
      nowMs: options.now(),
    })
  }

  /** Pieces that were asked for and did not come yet. */
  get waiting(): number {
    return this.#asked.size
  }

  request(pieces: readonly number[], urgent: boolean): void {
    const layout = this.#layout
    if (layout === undefined) throw new RangeError('pieces are asked for before the peer told what it holds')
    this.#options.onSize(layout.size)
    this.#asked.request(pieces, urgent, layout)
  }

  cancel(pieces: readonly number[]): void {
    this.#asked.cancel(pieces)
  }

  cancelAll(): void {
    this.#asked.cancel(this.#asked.all())
  }

  bad(piece: number): void {
    this.#options.send({ type: 'bad', id: this.id, piece })
  }

  /** A `list` or `no-list` event follows. */
  askList(from: number): void {
    if (this.#layout === undefined || this.#list !== undefined) return
    this.#list = new ListAssembly(this.#layout.size)
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
        if (this.#asked.size === 0) this.#idleAnswer()
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
      this.#asked.forget(answer.pieces)
      this.#tell({ type: 'lost', pieces: answer.pieces })
      return
    }
    const asked = answer.pieces.filter((piece) => this.#asked.has(piece))
    if (asked.length === 0) this.#idleAnswer()
    this.#asked.forget(asked)
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
    this.#asked.forget(this.#asked.all().filter((piece) => !held.has(piece)))
    this.#tell({ type: 'holds', size: layout.size, held })
  }

  #data(frame: DataFrame): void {
    const { piece, bytes } = frame
    const { isAsked, whole } = this.#asked.add(frame)
    if (!isAsked) this.#tell({ type: 'alive' })
    else this.#tell({ type: 'bytes', piece, bytes: bytes.length })
    if (whole !== undefined) this.#tell({ type: 'piece', piece, chunks: whole })
  }

  #listFrame(frame: ListFrame): void {
    if (this.#list === undefined) throw new MalformedError('a piece list that was not asked for')
    const bytes = this.#list.add(frame)
    if (bytes === undefined) return
    this.#list = undefined
    this.#tell({ type: 'list', bytes })
  }

  #forgetAll(): void {
    this.#asked.forget(this.#asked.all())
  }

  #idleAnswer(): void {
    if (this.#idle.take(1, this.#options.now()) > 0) throw new MalformedError('endless answers without news')
  }

  #tell(event: WantEvent): void {
    this.#options.listener(event)
  }
}
