/** The piece lists that came for one blob: who signed and gave which, what became of each, and in what they differ. */
import { RecentMap } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { BlobUnavailableError } from '../errors.ts'
import type { Bitfield } from '../protocol/bitfield.ts'
import { PieceHashes } from '../protocol/piece-hashes.ts'
import { firstPiece, pieceHash, pieceHashBytes, type SignedPieceList } from '../protocol/piece-list.ts'
import type { Layout } from '../protocol/piece-size.ts'

export interface Holds {
  /** Of the blob, as the peer says. */
  readonly size: number
  /** Live. */
  readonly held: Bitfield
}

/** A peer, as far as lists go. */
export interface Giver {
  readonly peer: string
  /** `undefined` while that is nothing. */
  readonly holds: Holds | undefined
  /** Whether its list was asked for, and what came of that. */
  list: 'none' | 'asked' | 'given' | 'refused'
  listAskedMs: number
  /** From which piece on it was asked for. */
  listFrom: number
  /** Its piece did not match this list, and it has not said yet what it goes by. */
  doubt: { piece: number; against: Candidate } | undefined
}

export type Holding<G extends Giver> = G & { readonly holds: Holds }

/** With more than these, the one that came first gives way: who signs many keeps out nobody for long. */
const maxCandidates = 8
/** For one that was given up for another; doubled each time. */
const againMs = 1000

export class Candidate {
  /** Grows while others, or this node, fetch the blob from its origin. */
  readonly list: PieceHashes
  /** Who signed any of these hashes, as far as they were seen. */
  readonly authors = new Set<string>()
  /** Those of them who say that they have proven the whole. */
  readonly vouchers = new Set<string>()
  /** Peers that gave it last. They answer for none of it: who signed it does. */
  readonly backers = new Set<string>()
  /** Those of them that were asked for a piece in vain: others are, before it is given up. */
  readonly silent = new Set<string>()
  /** What was here of it when another was tried instead. */
  kept: number[] = []
  /** Why there is no room for it on the disk. */
  refusal: Error | undefined
  /** How often it was given up for another, and until when it is not tried again. */
  losses = 0
  untilMs = 0

  constructor(list: PieceHashes) {
    this.list = list
  }

  /** Grows by those that fit; whoever signed another one that was put beside them has signed none of this. */
  join(lists: readonly SignedPieceList[]): void {
    for (const list of lists) {
      if (!this.list.fits(list)) continue
      this.list.add(list)
      this.authors.add(list.author)
      if (list.after === undefined) this.vouchers.add(list.author)
    }
  }

  /** Another was more use than this one. */
  giveUp(nowMs: number): void {
    this.silent.clear()
    this.untilMs = nowMs + againMs * 2 ** Math.min(this.losses, 5)
    this.losses++
  }

  /** Whether both tell the same hash of a piece. */
  agreesOn(piece: number, { list: other }: Candidate): boolean {
    const { list } = this
    if (list.layout.size !== other.layout.size || piece >= Math.min(list.known, other.known)) return false
    return Buffer.compare(pieceHash(list, piece), pieceHash(other, piece)) === 0
  }

  /** Who signed something that is not so, by hashes that are proven. */
  liars(proven: PieceHashes): string[] {
    const wrong = this.list.lists.filter((list) => contradicts(list, proven)).map(({ author }) => author)
    return proven.agrees(this.list) ? wrong : [...wrong, ...this.vouchers]
  }
}

export class Candidates {
  readonly #digest: Digest
  #all: Candidate[] = []

  constructor(digest: Digest) {
    this.#digest = digest
  }

  all(): readonly Candidate[] {
    return this.#all
  }

  /** Of how much of the blob the hashes are known by a list that is still growing. */
  get listedBytes(): number {
    const growing = this.#all.filter(({ list }) => !list.complete)
    return Math.max(0, ...growing.map(({ list }) => list.known * list.layout.pieceBytes))
  }

  /** The one to try, of those that may be: that was given up least often, then the one that came first. */
  best(mayBe: (candidate: Candidate) => boolean): Candidate | undefined {
    const able = this.#all.filter((candidate) => candidate.refusal === undefined && mayBe(candidate))
    return able.sort((a, b) => a.losses - b.losses)[0]
  }

  /** What the peer gave last. */
  of(peer: string): Candidate | undefined {
    return this.#all.find(({ backers }) => backers.has(peer))
  }

  /**
   * Joins the lists to what they go on from; `undefined` when that is nothing that is known. `peer` is absent for what was kept
   * here. `current` does not give way.
   */
  add(
    lists: readonly SignedPieceList[],
    { peer, current }: { peer?: string; current?: Candidate | undefined } = {},
  ): Candidate | undefined {
    const [first] = lists
    if (first === undefined) return undefined
    const whole = PieceHashes.of(lists)
    const known = this.#all.find(({ list }) => (whole === undefined ? list.fits(first) : list.agrees(whole)))
    if (known === undefined && whole === undefined) return undefined
    const candidate = known ?? this.begin(first.layout, current)
    candidate.join(lists)
    if (peer !== undefined) {
      this.disown(peer)
      candidate.backers.add(peer)
    }
    return candidate
  }

  /** A list of which nothing is known yet. */
  begin(layout: Layout, current?: Candidate): Candidate {
    const candidate = new Candidate(new PieceHashes(this.#digest, layout))
    const oldest = this.#all.find((known) => known !== current)
    if (this.#all.length >= maxCandidates && oldest !== undefined) this.remove(oldest)
    this.#all.push(candidate)
    return candidate
  }

  /** The peer's word counts for nothing any more. */
  disown(peer: string): void {
    for (const { backers } of this.#all) backers.delete(peer)
  }

  remove(candidate: Candidate): void {
    this.#all = this.#all.filter((known) => known !== candidate)
  }

  /** Why nothing is tried any more where all is too large: one member alone may have said so of anything. */
  get refusal(): Error | undefined {
    if (this.#all.length === 0 || this.#all.some(({ refusal }) => refusal === undefined)) return undefined
    const isShared = this.#all.some(({ backers, authors }) => backers.size !== 1 || authors.size > 1)
    const cause = this.#all.at(-1)?.refusal
    if (isShared) return cause
    const sizes = this.#all.map(({ list }) => list.layout.size)
    const reason = `the only member that can be reached says that it has ${sizes.join(' or ')} bytes, for which there is no room here`
    return new BlobUnavailableError(this.#digest, reason, { cause })
  }
}

/** Authors whose lists were proven wrong, each for the blob that they lied about. */
export class Liars {
  readonly #known = new RecentMap<string, true>(4096)

  add(author: string, digest: Digest): void {
    this.#known.set(`${author} ${digest}`, true)
  }

  has(author: string, digest: Digest): boolean {
    return this.#known.has(`${author} ${digest}`)
  }
}

type Hashes = Pick<SignedPieceList, 'layout' | 'hashes' | 'after'>

/** Whether two lists tell different hashes of one piece, or different sizes. */
export function contradicts(a: Hashes, b: Hashes): boolean {
  if (a.layout.size !== b.layout.size) return true
  const start = Math.max(firstPiece(a), firstPiece(b))
  const end = Math.min(endOf(a), endOf(b))
  return start < end && Buffer.compare(hashesBetween(a, start, end), hashesBetween(b, start, end)) !== 0
}

/** Up to where the list tells of the blob. */
export function knownBytes(list: Hashes): number {
  return endOf(list) * list.layout.pieceBytes
}

function endOf(list: Hashes): number {
  return firstPiece(list) + list.hashes.length / pieceHashBytes
}

function hashesBetween(list: Hashes, start: number, end: number): Uint8Array {
  const first = firstPiece(list)
  return list.hashes.subarray((start - first) * pieceHashBytes, (end - first) * pieceHashBytes)
}
