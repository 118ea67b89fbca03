/** The piece lists that peers gave for one blob: who stands behind which, and which one to believe until the digest decides. */
import type { Digest } from '../../oci/oci.ts'
import { BlobUnavailableError } from '../errors.ts'
import type { Bitfield } from '../protocol/bitfield.ts'
import { PieceHashes } from '../protocol/piece-hashes.ts'
import {
  firstPiece,
  type PieceList,
  pieceHash,
  pieceHashBytes,
  type SignedPieceList,
} from '../protocol/piece-list.ts'
import type { Layout } from '../protocol/piece-size.ts'
import type { HoldingSource } from './source.ts'

export interface Candidate {
  /** Grows while others, or this node, fetch the blob from its origin. */
  readonly list: PieceHashes
  /** Who signed any of these hashes, as far as they were seen. */
  readonly authors: Set<string>
  /** Those of them who say that they have proven the whole. */
  readonly vouchers: Set<string>
  /** Peers that gave it last. They answer for none of it: who signed it does. */
  readonly backers: Set<string>
  /** What was here of it when another was tried instead. */
  kept: number[]
  /** Why there is no room for it on the disk. */
  refusal: Error | undefined
  /** How often it was given up for another, and until when it is not tried again. */
  losses: number
  untilMs: number
}

export interface Rival {
  candidate: Candidate
  giver: HoldingSource
}

/** With more than these, the one that came first gives way: who signs many keeps out nobody for long. */
const maxCandidates = 8

/** For one that was given up for another; doubled each time. */
const againMs = 1000

export class ListCandidates {
  readonly #digest: Digest
  #candidates: Candidate[] = []

  constructor(digest: Digest) {
    this.#digest = digest
  }

  /**
   * Joins the lists to what they go on from. `peer` is absent for what was kept here. `undefined` when they go on from nothing
   * that is known. `current` does not give way.
   */
  add(
    lists: readonly SignedPieceList[],
    { peer, current }: { peer?: string; current?: Candidate | undefined } = {},
  ): Candidate | undefined {
    const candidate = this.#joined(lists) ?? this.#begun(lists, current)
    if (candidate === undefined) return undefined
    for (const { author, after } of lists) {
      candidate.authors.add(author)
      if (after === undefined) candidate.vouchers.add(author)
    }
    if (peer !== undefined) {
      this.disown(peer)
      candidate.backers.add(peer)
    }
    return candidate
  }

  /** A list that this node makes itself, of what comes from the origin. */
  begin(layout: Layout): Candidate {
    return this.#push(new PieceHashes(this.#digest, layout))
  }

  /** The one to try: that was given up least often, then the one that came first. */
  best(): Candidate | undefined {
    let best: Candidate | undefined
    for (const candidate of this.#candidates) {
      if (candidate.refusal !== undefined) continue
      if (best === undefined || candidate.losses < best.losses) best = candidate
    }
    return best
  }

  /** Other lists by which something can be had from someone now. */
  rivals(current: Candidate, holding: readonly HoldingSource[], nowMs: number): Rival[] {
    return this.#candidates.flatMap((candidate) => {
      const { list, backers, refusal, untilMs } = candidate
      if (candidate === current || refusal !== undefined || untilMs > nowMs) return []
      const giver = holding.find(
        ({ peer, holds }) => backers.has(peer) && holds.size === list.layout.size && holds.held.held > 0,
      )
      return giver === undefined ? [] : [{ candidate, giver }]
    })
  }

  /** Another was more use than this one. */
  giveUp(candidate: Candidate, nowMs: number): void {
    candidate.untilMs = nowMs + againMs * 2 ** Math.min(candidate.losses, 5)
    candidate.losses++
  }

  /** Whether everyone who holds any of it has given a list, and there is no room for any of these. */
  isTooLarge(holding: readonly HoldingSource[]): boolean {
    const isAll = holding.every(({ list }) => list === 'given' || list === 'refused')
    return isAll && this.#candidates.length > 0 && this.#candidates.every(({ refusal }) => refusal)
  }

  /** Why nothing is tried any more where all is too large: one member alone may have said so of anything. */
  get refusal(): Error {
    const isShared = this.#candidates.some(({ backers, authors }) => backers.size !== 1 || authors.size > 1)
    const cause = this.#candidates.at(-1)?.refusal
    if (isShared && cause !== undefined) return cause
    const sizes = this.#candidates.map(({ list }) => list.layout.size)
    const reason = `the only member that can be reached says that it has ${sizes.join(' or ')} bytes, for which there is no room here`
    return new BlobUnavailableError(this.#digest, reason, { cause })
  }

  /** What the peer gave last. */
  of(peer: string): Candidate | undefined {
    return this.#candidates.find(({ backers }) => backers.has(peer))
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

  /** Of how much of the blob the hashes are known by a list that is still growing. */
  get listedBytes(): number {
    const growing = this.#candidates.filter(({ list }) => !list.complete)
    return Math.max(0, ...growing.map(({ list }) => list.known * list.layout.pieceBytes))
  }

  #push(list: PieceHashes): Candidate {
    const candidate = {
      list,
      authors: new Set<string>(),
      vouchers: new Set<string>(),
      backers: new Set<string>(),
      kept: [],
      refusal: undefined,
      losses: 0,
      untilMs: 0,
    }
    this.#candidates.push(candidate)
    return candidate
  }

  /** The candidate with which all of the lists agree, grown by them. */
  #joined(lists: readonly SignedPieceList[]): Candidate | undefined {
    const [first] = lists
    if (first === undefined) return undefined
    const whole = firstPiece(first) === 0 ? PieceHashes.of(lists) : undefined
    const candidate = this.#candidates.find(({ list }) =>
      whole === undefined ? list.fits(first) : list.agrees(whole),
    )
    for (const list of candidate === undefined ? [] : lists) {
      if (candidate?.list.fits(list) === true) candidate.list.add(list)
    }
    return candidate
  }

  #begun(lists: readonly SignedPieceList[], current: Candidate | undefined): Candidate | undefined {
    const list = PieceHashes.of(lists)
    if (list === undefined) return undefined
    const oldest = this.#candidates.find((candidate) => candidate !== current)
    if (this.#candidates.length >= maxCandidates && oldest !== undefined) this.remove(oldest)
    return this.#push(list)
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

/** Whether both lists tell the same hash of a piece. */
export function isAgreedOn(a: PieceHashes, b: PieceHashes, piece: number): boolean {
  if (a.layout.size !== b.layout.size || piece >= Math.min(a.known, b.known)) return false
  return Buffer.compare(pieceHash(a, piece), pieceHash(b, piece)) === 0
}

/** Whether both lists say the same of all these pieces. */
export function isAgreed(a: PieceHashes, b: PieceHashes, pieces: Bitfield): boolean {
  if (a.layout.size !== b.layout.size) return false
  for (let piece = 0; piece < pieces.count; piece++) {
    if (pieces.has(piece) && !isAgreedOn(a, b, piece)) return false
  }
  return true
}

/** Whether the peer's own signature stands behind the hash of the piece. */
export function hasSigned({ list, vouchers }: Candidate, peer: string, piece: number): boolean {
  return (
    vouchers.has(peer) ||
    list.lists.some((signed) => {
      return signed.author === peer && piece >= firstPiece(signed) && piece * pieceHashBytes < endOf(signed)
    })
  )
}

/** Who signed something that is not so, by hashes that are proven. */
export function liarsOf({ list, vouchers }: Candidate, proven: PieceHashes): Set<string> {
  const wrong = list.lists.filter((signed) => !isTrue(signed, proven)).map(({ author }) => author)
  return new Set(proven.agrees(list) ? wrong : [...wrong, ...vouchers])
}

/** Whether two signed lists tell different hashes of one piece. */
export function contradicts(a: SignedPieceList, b: SignedPieceList): boolean {
  if (a.layout.size !== b.layout.size) return true
  const start = Math.max(firstPiece(a), firstPiece(b)) * pieceHashBytes
  const end = Math.min(endOf(a), endOf(b))
  return start < end && Buffer.compare(hashesBetween(a, start, end), hashesBetween(b, start, end)) !== 0
}

function endOf(list: SignedPieceList): number {
  return firstPiece(list) * pieceHashBytes + list.hashes.length
}

function hashesBetween(list: SignedPieceList, start: number, end: number): Uint8Array {
  const before = firstPiece(list) * pieceHashBytes
  return list.hashes.subarray(start - before, end - before)
}

function isTrue(signed: SignedPieceList, proven: PieceList): boolean {
  if (signed.layout.size !== proven.layout.size) return false
  const start = firstPiece(signed) * pieceHashBytes
  return Buffer.compare(proven.hashes.subarray(start, start + signed.hashes.length), signed.hashes) === 0
}
