/** A download under one piece list: hands events to the scheduler, carries out what it wants, and writes what arrives. */
import { type Clock, fromUpstream, type TokenBucket } from '../../base/base.ts'
import type { PartialBlob } from '../../store/store.ts'
import type { WantEvent } from '../peer/want.ts'
import { Download } from '../picker/download.ts'
import type { DownloadAction, DownloadEvent, DownloadLimits, DropReason } from '../picker/download-events.ts'
import { Bitfield } from '../protocol/bitfield.ts'
import { pieceHash, pieceHashBytes } from '../protocol/piece-list.ts'
import type { Candidate } from './list-candidates.ts'
import type { HoldingSource, Source } from './sources.ts'
import type { ComingPiece } from './unproven.ts'

export interface AttemptOptions {
  candidate: Candidate
  partial: PartialBlob
  limits: Partial<DownloadLimits>
  budget?: TokenBucket
  clock: Clock
  random(): number
  /** A piece is about to be written: it can be read before `onGained`, or is found wrong. */
  onWrite(piece: number, giver: string): void
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
  /** Which pieces may be had of a source, where not all. */
  readonly #allowed = new Map<string, (piece: number) => boolean>()
  readonly #writes = new Set<Promise<void>>()
  readonly #over = Promise.withResolvers<void>()
  /** Pieces whose hashes the part knows. */
  #learnt: number
  #isOver = false

  constructor(options: AttemptOptions) {
    const { candidate, partial, limits, budget, random } = options
    const { layout } = candidate.list
    this.#options = options
    this.candidate = candidate
    this.partial = partial
    // The list may have grown while the part was being opened.
    this.#learnt = partial.plan.hashes.length / pieceHashBytes
    const held = new Bitfield(layout.count)
    for (let piece = 0; piece < layout.count; piece++) if (partial.has(piece)) held.add(piece)
    this.#download = new Download({
      layout,
      held,
      known: this.#learnt,
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

  /** The first piece, from `from` on, that is neither here nor with any peer that takes part. */
  firstAbsent(from?: number): number | undefined {
    return this.#download.firstAbsent(from)
  }

  /** The list has grown, by what others signed. */
  learn(): void {
    const { list } = this.candidate
    if (this.#isOver || list.known <= this.#learnt) return
    const from = this.#learnt
    this.#learnt = list.known
    this.#keep(this.#learn(from, list.hashes.slice(from * pieceHashBytes)))
  }

  /** Writes a piece that came from the origin; false when others signed another hash for it. Rejects when it cannot be written. */
  take(piece: number, coming: ComingPiece): Promise<boolean> {
    const taking = this.#take(piece, coming)
    this.#keep(
      taking.then(
        () => undefined,
        (error: unknown) => this.#break(error),
      ),
    )
    return taking
  }

  /** `allows` tells which of its pieces may be asked for; default all. */
  join(source: HoldingSource, allows?: (piece: number) => boolean): void {
    const { peer } = source
    const { held } = source.holds
    this.#sources.set(peer, source)
    this.#allowed.delete(peer)
    if (allows === undefined) {
      this.#pieces({ type: 'peer', peer, held })
      return
    }
    this.#allowed.set(peer, allows)
    const allowed = new Bitfield(held.count)
    for (const piece of held.pieces()) if (allows(piece)) allowed.add(piece)
    this.#pieces({ type: 'peer', peer, held: allowed })
  }

  leave(source: Source): void {
    if (this.#sources.get(source.peer) !== source) return
    this.#sources.delete(source.peer)
    this.#pieces({ type: 'left', peer: source.peer })
  }

  delayOf(source: Source): 'silent' | 'busy' | undefined {
    return this.#download.delayOf(source.peer, this.#options.clock.now())
  }

  has(source: Source): boolean {
    return this.#sources.get(source.peer) === source
  }

  readers(pieces: number[]): void {
    this.#pieces({ type: 'readers', pieces })
  }

  wake(): void {
    this.#pieces({ type: 'wake' })
  }

  /** What a peer that takes part said or sent. */
  heard(source: Source, event: WantEvent): void {
    if (!this.has(source)) return
    const { peer } = source
    switch (event.type) {
      case 'has': {
        const allows = this.#allowed.get(peer)
        const pieces = allows === undefined ? event.pieces : event.pieces.filter(allows)
        this.#pieces({ type: 'has', peer, pieces })
        return
      }
      case 'lost':
      case 'later':
      case 'busy':
      case 'bytes':
      case 'alive':
        this.#pieces({ ...event, peer })
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
      this.#pieces({ type: 'arrived', peer: source.peer, piece })
      return
    }
    this.#keep(this.#write(source, piece, chunks))
  }

  /** Work on the part, which does not fail. */
  #keep(work: Promise<void>): void {
    this.#writes.add(work)
    void work.finally(() => this.#writes.delete(work))
  }

  async #learn(from: number, hashes: Uint8Array): Promise<void> {
    try {
      await this.partial.learn(from, hashes)
      this.#pieces({ type: 'known', pieces: from + hashes.length / pieceHashBytes })
    } catch (error) {
      this.#break(error)
    }
  }

  async #take(piece: number, coming: ComingPiece): Promise<boolean> {
    if (this.#isOver || this.held.has(piece) || this.partial.has(piece)) return true
    this.learn()
    // The piece is this one from here on, or the list is believed no more.
    coming.isKept = true
    this.#options.onWrite(piece, fromUpstream)
    coming.isKept = await this.#put(piece, coming.bytes)
    if (!coming.isKept) return false
    if (piece >= this.#learnt) {
      this.#learnt = piece + 1
      this.#pieces({ type: 'known', pieces: this.#learnt })
    }
    const isNews = !this.held.has(piece)
    this.#pieces({ type: 'arrived', peer: '', piece })
    if (isNews) this.#options.onGained(piece, fromUpstream)
    return true
  }

  /** False when others signed another hash for it. */
  async #put(piece: number, bytes: Uint8Array): Promise<boolean> {
    const { list } = this.candidate
    if (piece < list.known) return await this.partial.write(piece, [bytes])
    const hash = await this.partial.take(piece, [bytes])
    // Another may have brought it at the same time.
    if (piece < list.known) return Buffer.compare(pieceHash(list, piece), hash) === 0
    list.append(hash)
    return true
  }

  async #write(source: Source, piece: number, chunks: Uint8Array[]): Promise<void> {
    try {
      if (!this.partial.has(piece)) this.#options.onWrite(piece, source.peer)
      const isRight = await this.partial.write(piece, chunks)
      if (!isRight) return this.#wrong(source, piece)
      const isNews = !this.held.has(piece)
      this.#pieces({ type: 'arrived', peer: source.peer, piece })
      if (isNews) this.#options.onGained(piece, source.peer)
    } catch (error) {
      this.#break(error)
    }
  }

  #break(error: unknown): void {
    this.#over.reject(error)
    this.#isOver = true
  }

  #wrong(source: Source, piece: number): void {
    if (this.#isOver) return
    this.leave(source)
    source.want.cancelAll()
    this.#options.onWrong(source, piece)
  }

  #pieces(event: DownloadEvent): void {
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
