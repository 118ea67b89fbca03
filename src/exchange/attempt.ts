/** A download under one piece list: hands events to the scheduler, carries out what it wants, and writes what arrives. */
import type { Clock } from '../base/base.ts'
import type { PartialBlob } from '../store/store.ts'
import { Bitfield } from './bitfield.ts'
import { Download } from './download.ts'
import type { DownloadAction, DownloadEvent, DownloadLimits, DropReason } from './download-events.ts'
import type { Candidate } from './list-candidates.ts'
import type { HoldingSource, Source } from './sources.ts'
import type { TokenBucket } from './token-bucket.ts'
import type { WantEvent } from './want.ts'

export interface AttemptOptions {
  candidate: Candidate
  partial: PartialBlob
  limits: Partial<DownloadLimits>
  budget?: TokenBucket
  clock: Clock
  random(): number
  onGained(piece: number, giver: string): void
  /** The scheduler has been told that the peer left. */
  onWrong(source: Source, piece: number): void
  onDrop(source: Source, reason: DropReason): void
}

export class Attempt {
  readonly candidate: Candidate
  readonly partial: PartialBlob
  readonly #options: AttemptOptions
  readonly #download: Download
  readonly #sources = new Map<string, Source>()
  readonly #writes = new Set<Promise<void>>()
  readonly #over = Promise.withResolvers<void>()
  #isOver = false

  constructor(options: AttemptOptions) {
    const { candidate, partial, limits, budget, random } = options
    const { layout } = candidate.list
    this.#options = options
    this.candidate = candidate
    this.partial = partial
    const held = new Bitfield(layout.count)
    for (let piece = 0; piece < layout.count; piece++) if (partial.has(piece)) held.add(piece)
    this.#download = new Download({
      layout,
      held,
      random,
      limits,
      ...(budget === undefined ? {} : { budget }),
    })
    // Whoever waits for it hears of a failure; one that comes when nobody does is of no account.
    this.#over.promise.catch(() => undefined)
    if (this.#download.complete) this.#end()
  }

  /** Live. */
  get held(): Bitfield {
    return this.#download.held
  }

  /** How many peers it may ask. */
  get peers(): number {
    return this.#sources.size
  }

  /** Resolves when every piece is here; rejects when one could not be written. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  join(source: HoldingSource): void {
    this.#sources.set(source.peer, source)
    this.#feed({ type: 'peer', peer: source.peer, held: source.holds.held })
  }

  leave(source: Source): void {
    if (this.#sources.get(source.peer) !== source) return
    this.#sources.delete(source.peer)
    this.#feed({ type: 'left', peer: source.peer })
  }

  delayOf(source: Source): 'silent' | 'busy' | undefined {
    return this.#download.delayOf(source.peer, this.#options.clock.now())
  }

  has(source: Source): boolean {
    return this.#sources.get(source.peer) === source
  }

  readers(pieces: number[]): void {
    this.#feed({ type: 'readers', pieces })
  }

  wake(): void {
    this.#feed({ type: 'wake' })
  }

  /** What a peer that takes part said or sent. */
  heard(source: Source, event: WantEvent): void {
    if (!this.has(source)) return
    const { peer } = source
    switch (event.type) {
      case 'has':
      case 'lost':
      case 'later':
      case 'busy':
      case 'bytes':
      case 'alive':
      case 'reset':
        this.#feed({ ...event, peer })
        return
      case 'absent':
      case 'ended':
        this.leave(source)
        return
      case 'piece':
        this.#arrived(source, event.piece, event.chunks)
        return
    }
  }

  /** Ends it as it stands: nothing more is asked for, and what was being written is. */
  async close(): Promise<void> {
    this.#end()
    for (const source of this.#sources.values()) source.want.cancelAll()
    this.#sources.clear()
    while (this.#writes.size > 0) await Promise.all(this.#writes)
  }

  #arrived(source: Source, piece: number, chunks: Uint8Array[]): void {
    if (this.#isOver) return
    if (this.held.has(piece)) {
      this.#feed({ type: 'arrived', peer: source.peer, piece })
      return
    }
    const write = this.#write(source, piece, chunks)
    this.#writes.add(write)
    void write.finally(() => this.#writes.delete(write))
  }

  async #write(source: Source, piece: number, chunks: Uint8Array[]): Promise<void> {
    try {
      const isRight = await this.partial.write(piece, chunks)
      if (!isRight) return this.#wrong(source, piece)
      const isNews = !this.held.has(piece)
      this.candidate.backers.add(source.peer)
      this.#feed({ type: 'arrived', peer: source.peer, piece })
      if (isNews) this.#options.onGained(piece, source.peer)
    } catch (error) {
      this.#over.reject(error)
      this.#isOver = true
    }
  }

  #wrong(source: Source, piece: number): void {
    if (this.#isOver) return
    this.leave(source)
    source.want.cancelAll()
    this.#options.onWrong(source, piece)
  }

  #feed(event: DownloadEvent): void {
    // Pieces that were being written when all else ended still count as held.
    if (this.#isOver && event.type !== 'arrived') return
    const actions = this.#download.handle(event, this.#options.clock.now())
    if (!this.#isOver) for (const action of actions) this.#perform(action)
    if (this.#download.complete) this.#end()
  }

  #perform(action: DownloadAction): void {
    const source = this.#sources.get(action.peer)
    if (source === undefined) return
    if (action.type === 'request') source.want.request(action.pieces, action.urgent)
    else if (action.type === 'cancel') source.want.cancel(action.pieces)
    else if (action.type === 'bad') source.want.bad(action.piece)
    else {
      this.#sources.delete(source.peer)
      this.#options.onDrop(source, action.reason)
    }
  }

  #end(): void {
    this.#isOver = true
    this.#over.resolve()
  }
}
