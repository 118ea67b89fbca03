/** A download under one piece list: hands events to the picker, carries out what it wants, and has what arrives written. */
import { type Clock, fromUpstream, type TokenBucket } from '../../base/base.ts'
import type { PartialBlob } from '../../store/store.ts'
import type { FramePool } from '../peer/frame-pool.ts'
import type { WantEvent } from '../peer/want.ts'
import { Download } from '../picker/download.ts'
import type { DownloadAction, DownloadEvent } from '../picker/download-events.ts'
import { Bitfield } from '../protocol/bitfield.ts'
import { pieceHash, pieceHashBytes } from '../protocol/piece-list.ts'
import type { Candidate } from './candidates.ts'
import { type Interest, wantedPieces } from './interest.ts'
import type { HoldingSource, Source } from './source.ts'

export interface AttemptOptions {
  candidate: Candidate
  partial: PartialBlob
  pool: Pick<FramePool, 'give'>
  /** In flight at once. */
  maxBytes: number
  budget?: TokenBucket | undefined
  clock: Clock
  random(): number
  /** This node, as others know it. */
  self: string
  /** Those near it that fetch the blob, too; `undefined` where nobody is far. */
  fellows(): string[] | undefined
  isFar(peer: string): boolean
  /** A piece is about to be written: it can be read before `onGained`, or is found wrong. */
  onWrite(piece: number, giver: string): void
  onGained(piece: number, giver: string): void
  /** The source's piece is wrong by the list. It takes no part in the download any more. */
  onWrong(source: Source, piece: number): void
  /** The source is silent, and takes no part any more either. */
  onDrop(source: Source): void
}

interface Peer {
  readonly source: Source
  /** Which of its pieces may be asked for. */
  allows(piece: number): boolean
}

export class Attempt {
  readonly candidate: Candidate
  readonly partial: PartialBlob
  readonly #options: AttemptOptions
  readonly #download: Download
  readonly #peers = new Map<string, Peer>()
  /** Pieces whose hashes the part knows, from the first on. */
  #known: number
  readonly #writing = new Set<Promise<void>>()
  readonly #over = Promise.withResolvers<void>()
  #isOver = false

  constructor(options: AttemptOptions) {
    const { candidate, partial, maxBytes, budget, random } = options
    const { layout } = candidate.list
    this.#options = options
    this.candidate = candidate
    this.partial = partial
    // The list may have grown while the part was being opened.
    this.#known = partial.plan.hashes.length / pieceHashBytes
    const held = new Bitfield(layout.count)
    for (let piece = 0; piece < layout.count; piece++) if (partial.has(piece)) held.add(piece)
    const site = { self: options.self, blob: partial.plan.digest, isFar: options.isFar }
    this.#download = new Download({
      layout,
      held,
      known: this.#known,
      site,
      random,
      limits: { maxBytes },
      onDemand: true,
      ...(budget && { budget }),
    })
    // Whoever waits for it hears of a failure; one that comes when nobody does is of no account.
    this.#over.promise.catch(() => undefined)
    this.#tellFellows()
    if (this.#download.complete) this.#end()
  }

  /** Live. */
  get held(): Bitfield {
    return this.#download.held
  }

  /** Whether all that is wanted of it is here. */
  get isSated(): boolean {
    return this.#download.isSated
  }

  /** How many peers it may ask. */
  get peers(): number {
    return this.#peers.size
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
    const from = this.#known
    if (this.#isOver || list.known <= from) return
    const hashes = list.hashes.slice(from * pieceHashBytes)
    this.#known = list.known
    this.#start(async () => {
      await this.partial.learn(from, hashes)
      this.#feed({ type: 'known', pieces: from + hashes.length / pieceHashBytes })
    })
  }

  /** Writes a piece that came from the origin; false when others signed another hash for it. Rejects when it cannot be written. */
  take(piece: number, bytes: Uint8Array): Promise<boolean> {
    const taking = this.#take(piece, bytes)
    this.#start(async () => void (await taking))
    return taking
  }

  /** `allows` tells which of its pieces may be asked for. */
  join(source: HoldingSource, allows: (piece: number) => boolean): void {
    const { peer, holds } = source
    this.#peers.set(peer, { source, allows })
    const held = new Bitfield(holds.held.count)
    for (const piece of holds.held.pieces()) if (allows(piece)) held.add(piece)
    this.#feed({ type: 'peer', peer, held })
  }

  leave(source: Source): void {
    if (!this.has(source)) return
    this.#peers.delete(source.peer)
    this.#feed({ type: 'left', peer: source.peer })
  }

  delayOf({ peer }: Source): 'silent' | 'busy' | undefined {
    return this.#download.delayOf(peer, this.#options.clock.now())
  }

  has(source: Source): boolean {
    return this.#peers.get(source.peer)?.source === source
  }

  /** Somebody wants this much of it, or does no more. */
  want(interest: Interest, by: 1 | -1): void {
    this.#feed({ type: 'wanted', pieces: wantedPieces(interest, this.candidate.list.layout), by })
  }

  readers(pieces: number[]): void {
    this.#feed({ type: 'readers', pieces })
  }

  wake(): void {
    this.#tellFellows()
    this.#feed({ type: 'wake' })
  }

  /** What a peer said or sent. */
  heard(source: Source, event: WantEvent): void {
    if (!this.has(source)) return
    const { peer } = source
    switch (event.type) {
      case 'has': {
        const pieces = event.pieces.filter((piece) => this.#peers.get(peer)?.allows(piece))
        this.#feed({ type: 'has', peer, pieces })
        return
      }
      case 'lost':
      case 'later':
      case 'busy':
      case 'bytes':
      case 'alive':
        this.#feed({ ...event, peer })
        return
      case 'absent':
      case 'ended':
        this.leave(source)
        return
      case 'piece': {
        const { piece, chunks } = event
        if (this.held.has(piece)) this.#feed({ type: 'arrived', peer, piece })
        else if (!this.#isOver) this.#start(async () => await this.#write(source, piece, chunks))
      }
    }
  }

  /** Ends it as it stands: nothing more is asked for, and what was being written is. */
  async close(): Promise<void> {
    this.#end()
    for (const { source } of this.#peers.values()) source.want.cancelAll()
    this.#peers.clear()
    while (this.#writing.size > 0) await Promise.all(this.#writing)
  }

  #tellFellows(): void {
    const peers = this.#options.fellows()
    if (peers !== undefined) this.#feed({ type: 'fellows', peers })
  }

  async #take(piece: number, bytes: Uint8Array): Promise<boolean> {
    if (this.#isOver || this.held.has(piece) || this.partial.has(piece)) return true
    this.#options.onWrite(piece, fromUpstream)
    this.learn()
    if (!(await this.#takeUnder(piece, bytes))) return false
    this.#gained('', piece, fromUpstream)
    return true
  }

  /** False when others signed another hash for it. */
  async #takeUnder(piece: number, bytes: Uint8Array): Promise<boolean> {
    const { list } = this.candidate
    if (piece < list.known) return await this.partial.write(piece, [bytes])
    const hash = await this.partial.take(piece, [bytes])
    // Another may have brought it at the same time.
    if (piece < list.known) return Buffer.compare(pieceHash(list, piece), hash) === 0
    list.append(hash)
    if (piece >= this.#known) {
      this.#known = piece + 1
      this.#feed({ type: 'known', pieces: this.#known })
    }
    return true
  }

  async #write(source: Source, piece: number, chunks: Uint8Array[]): Promise<void> {
    const { peer } = source
    if (!this.partial.has(piece)) this.#options.onWrite(piece, peer)
    const free = (memory: ArrayBuffer): void => this.#options.pool.give(memory)
    if (await this.partial.write(piece, chunks, free)) this.#gained(peer, piece, peer)
    else if (!this.#isOver) {
      this.leave(source)
      source.want.cancelAll()
      this.#options.onWrong(source, piece)
    }
  }

  /** Work on the part. */
  #start(work: () => Promise<void>): void {
    const running = work().catch((error: unknown) => {
      this.#over.reject(error)
      this.#isOver = true
    })
    this.#writing.add(running)
    void running.finally(() => this.#writing.delete(running))
  }

  #gained(peer: string, piece: number, giver: string): void {
    const isNews = !this.held.has(piece)
    this.#feed({ type: 'arrived', peer, piece })
    if (isNews) this.#options.onGained(piece, giver)
  }

  #feed(event: DownloadEvent): void {
    // Pieces that were being written when all else ended still count as held.
    if (this.#isOver && event.type !== 'arrived') return
    const actions = this.#download.handle(event, this.#options.clock.now())
    if (!this.#isOver) for (const action of actions) this.#perform(action)
    if (this.#download.complete) this.#end()
  }

  #perform(action: DownloadAction): void {
    const source = this.#peers.get(action.peer)?.source
    if (source === undefined) return
    if (action.type === 'request') source.want.request(action.pieces, action.urgent)
    else if (action.type === 'cancel') source.want.cancel(action.pieces)
    else {
      this.#peers.delete(source.peer)
      this.#options.onDrop(source)
    }
  }

  #end(): void {
    this.#isOver = true
    this.#over.resolve()
  }
}
