/** Who steps in for a peer that is late or silent, and with what. */
import type { DownloadPeer, PieceRequest } from './download-peer.ts'
import type { FarRule } from './far-rule.ts'
import type { Lateness } from './lateness.ts'
import type { PieceBoard } from './piece-board.ts'
import type { RequestBook } from './request-book.ts'

export interface ReliefParts {
  board: PieceBoard
  book: RequestBook
  late: Lateness
  far: FarRule
  /** Live: all that take part. */
  peers: ReadonlyMap<string, DownloadPeer>
}

/** A silent peer is mostly one that is only behind: what it has written already comes anyway, and would come twice. */
const patience = 2

export class Relief {
  readonly #parts: ReliefParts

  constructor(parts: ReliefParts) {
    this.#parts = parts
  }

  /** While there is more to fetch than this node can take, a late piece costs nothing unless a reader waits for it. */
  hedge(peer: DownloadPeer, heads: readonly number[], nowMs: number): void {
    const { board, book, late, far, peers } = this.#parts
    const head = peer.head()?.piece
    const pieces = board.isEnd && head !== undefined ? [head, ...heads] : heads
    for (const piece of pieces) {
      const request = peer.requests.get(piece)
      if (request === undefined || this.#requestsTo(piece, peer).length > 0) continue
      const others = [...peers.values()].filter(
        (other) =>
          other !== peer &&
          !other.snubbed &&
          other.busyUntilMs <= nowMs &&
          mayGive(other, piece) &&
          far.allowsInstead(other, request, nowMs),
      )
      const other = late.leastLoaded(others, 0)
      if (other !== undefined) book.ask(other, piece, nowMs)
    }
  }

  /**
   * What silent peers were asked for is asked of these, which have room and nothing else to be asked for: a while later, unless
   * nothing else can be done.
   */
  replace(peers: readonly DownloadPeer[], { isPressing }: { isPressing: boolean }, nowMs: number): void {
    const { late } = this.#parts
    for (const silent of this.#parts.peers.values()) {
      if (!silent.snubbed) continue
      if (isPressing || late.isSilent(silent, nowMs, patience)) this.#replace(silent, peers, nowMs)
    }
  }

  /** Idle ones of these may be quicker with what lies at the end of another's queue. */
  relieve(peers: readonly DownloadPeer[], nowMs: number): void {
    for (const helper of peers) if (helper.requests.size === 0) this.#help(helper, nowMs)
  }

  #replace(silent: DownloadPeer, peers: readonly DownloadPeer[], nowMs: number): void {
    const { board, book, late } = this.#parts
    const { pieceBytes } = board.layout
    for (const request of [...silent.requests.values()]) {
      const { piece } = request
      if (this.#requestsTo(piece).length > 0) continue
      const able = peers.filter(
        (peer) => this.#mayHelp(peer, request, nowMs) && late.hasRoom(peer, pieceBytes, nowMs),
      )
      const other = late.leastLoaded(able, pieceBytes)
      if (other === undefined) continue
      book.withdraw(request)
      book.ask(other, piece, nowMs)
    }
  }

  #help(helper: DownloadPeer, nowMs: number): void {
    const { board, book, late, peers } = this.#parts
    // Two that send the same are enough, and what a silent one was asked for is replaced.
    const mayHelp = (request: PieceRequest): boolean =>
      this.#requestsTo(request.piece).length === 1 && this.#mayHelp(helper, request, nowMs)
    const request = late.slowest(peers.values(), helper, mayHelp, nowMs)
    if (request === undefined) return
    // At the end both may try: bytes are cheap then, and time is not.
    if (!board.isEnd) {
      if (request.received > 0) return
      book.withdraw(request)
    }
    book.ask(helper, request.piece, nowMs)
  }

  #mayHelp(peer: DownloadPeer, request: PieceRequest, nowMs: number): boolean {
    const { piece } = request
    return (
      mayGive(peer, piece) &&
      !peer.isDeferred(piece, nowMs) &&
      this.#parts.far.allowsInstead(peer, request, nowMs)
    )
  }

  /** Who is asked for the piece and not silent, but for one. */
  #requestsTo(piece: number, but?: DownloadPeer): PieceRequest[] {
    return this.#parts.board.requestsFor(piece).filter(({ peer }) => peer !== but && !peer.snubbed)
  }
}

function mayGive(peer: DownloadPeer, piece: number): boolean {
  return peer.held.has(piece) && !peer.requests.has(piece)
}
