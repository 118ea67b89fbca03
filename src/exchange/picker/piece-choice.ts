/**
 * Which piece to ask a peer for next.
 *
 * Rarest first, with random ties: what few hold is what the swarm lacks, and neighbours that choose alike would fetch the same.
 * While every known peer has everything, nothing is rare and nobody else fetches, so pieces are asked for in order.
 * The next piece of a waiting reader goes first once it can be had from more than one peer.
 */
import type { DownloadPeer } from './download-peer.ts'
import type { PieceBoard } from './piece-board.ts'

export interface Choice {
  /** Others download this blob too. */
  swarm: boolean
  /** The first missing piece of each waiting reader. */
  heads: readonly number[]
  nowMs: number
  random: () => number
  /** Whether this peer may be asked for the piece, by what else is to be saved than its time. */
  allows(peer: DownloadPeer, piece: number): boolean
}

/** Pieces behind a reader's next one that are preferred among equals. */
const windowPieces = 8

export function choosePiece(board: PieceBoard, peer: DownloadPeer, choice: Choice): number | undefined {
  const { swarm, heads, nowMs, allows } = choice
  for (const piece of peer.suggested) {
    if (eligible(board, peer, piece, nowMs) && allows(peer, piece)) return piece
    peer.suggested.delete(piece)
  }
  const { open, availability } = board
  const start = Math.floor(choice.random() * open.length)
  let best: number | undefined
  let bestRank = Number.POSITIVE_INFINITY
  for (let step = 0; step < open.length; step++) {
    const piece = open[start + step < open.length ? start + step : start + step - open.length] ?? 0
    const rank = rankOf(piece, availability[piece] ?? 0, swarm, heads)
    if (rank >= bestRank || !peer.held.has(piece) || peer.isDeferred(piece, nowMs)) continue
    if (!allows(peer, piece)) continue
    best = piece
    bestRank = rank
  }
  return best
}

function eligible(board: PieceBoard, peer: DownloadPeer, piece: number, nowMs: number): boolean {
  return board.isOpen(piece) && peer.held.has(piece) && !peer.isDeferred(piece, nowMs)
}

/** Lower is sooner. */
function rankOf(piece: number, availability: number, swarm: boolean, heads: readonly number[]): number {
  let near = Number.POSITIVE_INFINITY
  for (const head of heads) if (piece >= head) near = Math.min(near, piece - head)
  if (!swarm) return near < Number.POSITIVE_INFINITY ? near : 2 ** 20 + piece
  if (near === 0 && availability > 1) return 0
  return near <= windowPieces ? availability - 0.5 : availability
}
