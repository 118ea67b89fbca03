/** The requests of one download: made, cancelled, forgotten, with what they amount to, and the actions that they take. */
import type { TokenBucket } from '../../base/base.ts'
import { pieceLength } from '../protocol/piece-size.ts'
import type { DownloadAction } from './download-events.ts'
import type { DownloadPeer, PieceRequest } from './download-peer.ts'
import type { PieceBoard } from './piece-board.ts'

/** A peer that sent this node away so often for a piece is told that it matters. */
const urgentAfter = 2

export class RequestBook {
  readonly #board: PieceBoard
  readonly #budget: TokenBucket | undefined
  readonly #maxBytes: number
  #actions: DownloadAction[] = []
  #bytes = 0
  /** A piece is to be asked for that was not before. */
  #reopened = false
  /** Of far peers that are not silent. */
  farRequests = 0

  constructor(board: PieceBoard, options: { maxBytes: number; budget?: TokenBucket | undefined }) {
    this.#board = board
    this.#maxBytes = options.maxBytes
    this.#budget = options.budget
  }

  /** Whether anything may be asked of anyone now. */
  mayAsk(nowMs: number): boolean {
    return this.#bytes < this.#maxBytes && (this.#budget?.waitMs(nowMs) ?? 0) === 0
  }

  ask(peer: DownloadPeer, piece: number, nowMs: number): void {
    const bytes = pieceLength(this.#board.layout, piece)
    const request: PieceRequest = { piece, peer, atMs: nowMs, bytes, received: 0 }
    peer.add(request)
    this.#board.addRequest(request)
    this.#bytes += bytes
    if (!peer.near) this.farRequests++
    this.#budget?.take(bytes, nowMs)
    const urgent = (peer.deferred.get(piece)?.times ?? 0) >= urgentAfter
    const last = this.#actions.find(
      (action) => action.type === 'request' && action.peer === peer.id && action.urgent === urgent,
    )
    if (last?.type === 'request') last.pieces.push(piece)
    else this.act({ type: 'request', peer: peer.id, pieces: [piece], urgent })
  }

  /** The peer has fallen silent, or is heard of again: what is asked of a silent one holds nothing else up. */
  setSnubbed(peer: DownloadPeer, isSnubbed: boolean): void {
    if (peer.snubbed === isSnubbed) return
    peer.snubbed = isSnubbed
    if (!peer.near) this.farRequests += isSnubbed ? -peer.requests.size : peer.requests.size
  }

  /** What is known of where it is has changed. */
  setNear(peer: DownloadPeer, near: boolean): void {
    if (peer.near === near) return
    peer.near = near
    if (!peer.snubbed) this.farRequests += near ? -peer.requests.size : peer.requests.size
  }

  /** The peer will not send the piece, or is not waited for. */
  forget(peer: DownloadPeer, piece: number): void {
    const request = peer.requests.get(piece)
    if (request === undefined) return
    this.close(request)
    this.#budget?.refund(request.bytes)
    if (this.#board.removeRequest(request)) this.#reopened = true
  }

  forgetAll(peer: DownloadPeer): void {
    for (const piece of [...peer.requests.keys()]) this.forget(peer, piece)
  }

  /** Forgets it, and tells the peer. */
  withdraw({ peer, piece }: PieceRequest): void {
    this.forget(peer, piece)
    this.act({ type: 'cancel', peer: peer.id, pieces: [piece] })
  }

  /** The request is over, however it ended. */
  close(request: PieceRequest): void {
    if (request.peer.remove(request.piece) === undefined) return
    this.#bytes -= request.bytes
    if (!request.peer.near && !request.peer.snubbed) this.farRequests--
  }

  act(action: DownloadAction): void {
    this.#actions.push(action)
  }

  takeActions(): DownloadAction[] {
    const actions = this.#actions
    this.#actions = []
    return actions
  }

  takeReopened(): boolean {
    const reopened = this.#reopened
    this.#reopened = false
    return reopened
  }
}
