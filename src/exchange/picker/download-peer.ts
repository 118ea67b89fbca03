/** One seeder as a download sees it: what it has, what is asked of it, and how it behaves. */
import type { Bitfield } from '../protocol/bitfield.ts'
import { ServiceMeter } from './service-meter.ts'

export interface PieceRequest {
  readonly piece: number
  readonly peer: DownloadPeer
  readonly atMs: number
  /** Of the piece. */
  readonly bytes: number
  /** Received of it so far. */
  received: number
}

export class DownloadPeer {
  readonly id: string
  near: boolean
  held: Bitfield
  /** In the order in which they were asked for. */
  readonly requests = new Map<number, PieceRequest>()
  /** Pieces that it sent this node away for, with the time until which, and how often. */
  readonly deferred = new Map<number, { untilMs: number; times: number }>()
  /** What it would like to be asked for. */
  readonly suggested = new Set<number>()
  readonly meter = new ServiceMeter()
  /** How long it usually says nothing while something is asked of it. */
  readonly silences = new ServiceMeter()
  requestedBytes = 0
  /** When something last came from it. */
  seenMs: number
  lastArrivalMs = 0
  busyUntilMs = 0
  /** Silent although asked: gets no requests until it is heard of again. */
  snubbed = false
  /** Nothing to ask it for, until something changes. */
  dry = false

  constructor(id: string, options: { near: boolean; held: Bitfield; nowMs: number }) {
    this.id = id
    this.near = options.near
    this.held = options.held
    this.seenMs = options.nowMs
  }

  add(request: PieceRequest): void {
    // Silence counts from when something was asked of an idle peer.
    if (this.requests.size === 0) this.seenMs = request.atMs
    this.requests.set(request.piece, request)
    this.requestedBytes += request.bytes
    this.suggested.delete(request.piece)
  }

  remove(piece: number): PieceRequest | undefined {
    const request = this.requests.get(piece)
    if (request === undefined) return undefined
    this.requests.delete(piece)
    this.requestedBytes -= request.bytes
    return request
  }

  /** The request that it should be working on. */
  head(): PieceRequest | undefined {
    for (const request of this.requests.values()) return request
    return undefined
  }

  /** When it could begin with its oldest request. */
  headSinceMs(): number {
    return Math.max(this.head()?.atMs ?? 0, this.lastArrivalMs)
  }

  isDeferred(piece: number, nowMs: number): boolean {
    const entry = this.deferred.get(piece)
    return entry !== undefined && entry.untilMs > nowMs
  }

  defer(piece: number, untilMs: number): void {
    this.deferred.set(piece, { untilMs, times: (this.deferred.get(piece)?.times ?? 0) + 1 })
  }

  /** Replaces what it suggested before. */
  suggest(pieces: readonly number[]): void {
    this.suggested.clear()
    for (const piece of pieces) this.suggested.add(piece)
    this.dry = false
  }
}
