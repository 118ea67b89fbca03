/** The piece lists that peers gave for one blob: who stands behind which, and which one to believe until the digest decides. */
import type { Digest } from '../oci/oci.ts'
import type { Bitfield } from './bitfield.ts'
import { pieceHash, type SignedPieceList } from './piece-list.ts'

export interface Candidate {
  readonly list: SignedPieceList
  /** Who signed these hashes, as far as they were seen. */
  readonly authors: Set<string>
  /** Peers that gave it, or sent a piece that matches it. */
  readonly backers: Set<string>
}

const maxCandidates = 8

export class ListCandidates {
  #candidates: Candidate[] = []

  /** `peer` is absent for a list that was kept here. `undefined` when there are too many different ones. */
  add(list: SignedPieceList, peer?: string): Candidate | undefined {
    let candidate = this.#candidates.find((known) => isSame(known.list, list))
    if (candidate === undefined) {
      if (this.#candidates.length >= maxCandidates) return undefined
      candidate = { list, authors: new Set(), backers: new Set() }
      this.#candidates.push(candidate)
    }
    candidate.authors.add(list.author)
    if (peer !== undefined) candidate.backers.add(peer)
    return candidate
  }

  /** The one that most peers stand behind, `except` left out. */
  best(except?: Candidate): Candidate | undefined {
    let best: Candidate | undefined
    for (const candidate of this.#candidates) {
      if (candidate === except) continue
      if (best === undefined || candidate.backers.size > best.backers.size) best = candidate
    }
    return best
  }

  /** Whether the peer stands behind another than this one. */
  isDissenter(peer: string, current: Candidate): boolean {
    return this.#candidates.some((candidate) => candidate !== current && candidate.backers.has(peer))
  }

  /** The peer's word counts for nothing any more. */
  disown(peer: string): void {
    for (const { backers } of this.#candidates) backers.delete(peer)
  }

  remove(candidate: Candidate): void {
    this.#candidates = this.#candidates.filter((known) => known !== candidate)
  }

  remaining(): readonly Candidate[] {
    return this.#candidates
  }
}

/** Authors whose lists were proven wrong, each for the blob that they lied about. */
export class Liars {
  readonly #known = new Set<string>()

  add(author: string, digest: Digest): void {
    const [oldest] = this.#known
    if (this.#known.size >= 4096 && oldest !== undefined) this.#known.delete(oldest)
    this.#known.add(`${author} ${digest}`)
  }

  has(author: string, digest: Digest): boolean {
    return this.#known.has(`${author} ${digest}`)
  }
}

function isSame(a: SignedPieceList, b: SignedPieceList): boolean {
  return a.layout.size === b.layout.size && Buffer.compare(a.hashes, b.hashes) === 0
}

/** Whether both lists say the same of all these pieces. */
export function isAgreed(a: SignedPieceList, b: SignedPieceList, pieces: Bitfield): boolean {
  if (a.layout.size !== b.layout.size) return false
  for (let piece = 0; piece < pieces.count; piece++) {
    if (pieces.has(piece) && Buffer.compare(pieceHash(a, piece), pieceHash(b, piece)) !== 0) return false
  }
  return true
}
