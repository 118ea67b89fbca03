/**
 * The piece lists that came for one blob: which may be gone by, and who is wrong when a piece does not match one.
 *
 * A peer that signed the hash and sends what does not match it is convicted at once. Another is asked for its own list: one that
 * says the same of the piece convicts the peer, another one is a dissent between their authors, which only the whole digest
 * decides; who says nothing is left out, and called nothing. Of those who signed a list, the digest convicts who vouched for the whole;
 * what came from the origin may have been wrong before it came, so its authors are just not believed again by this transfer,
 * and convicted when the blob is proven to be another one. Who signs two hashes for one piece needs no further proof.
 */
import type { Clock } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { BadSignatureError, MalformedError, type Verifier } from '../../wire/wire.ts'
import { BlobUnavailableError } from '../errors.ts'
import type { Faults } from '../peer/faults.ts'
import type { WantEvent } from '../peer/want.ts'
import { openLists } from '../protocol/list-pack.ts'
import { PieceHashes } from '../protocol/piece-hashes.ts'
import { firstPiece, pieceHashBytes, type SignedPieceList } from '../protocol/piece-list.ts'
import type { Layout } from '../protocol/piece-size.ts'
import type { PieceLists } from '../seeding/piece-lists.ts'
import { ListAsking } from './list-asking.ts'
import {
  type Candidate,
  hasSigned,
  isAgreedOn,
  type Liars,
  ListCandidates,
  liarsOf,
} from './list-candidates.ts'
import type { HoldingSource, Source, Sources } from './sources.ts'
import type { Rival } from './trial.ts'

export interface ListSearchOptions {
  self: string
  digest: Digest
  sources: Sources
  lists: PieceLists
  liars: Liars
  faults: Faults
  verifier: Verifier
  clock: Clock
  /** The one that is tried now. */
  current(): Candidate | undefined
  onFound(): void
  /** The peer's piece is wrong by its own list. */
  onGuilty(source: Source, piece: number): void
  /** An author of the list contradicted itself: nothing is to be had by it any more. */
  onDisproved(candidate: Candidate): void
}

interface Suspect {
  source: Source
  piece: number
  against: Candidate
}

/** For one list that was given up for another; doubled each time. */
const againMs = 1000

export class ListSearch {
  readonly asking: ListAsking
  readonly #options: ListSearchOptions
  readonly #candidates = new ListCandidates()
  readonly #suspects = new Map<string, Suspect>()
  /** Whose sections made up a wrong blob. */
  readonly #doubted = new Set<string>()
  readonly #wrong: Candidate[] = []
  /** What peers held, as they said, by lists that are known to be wrong. */
  readonly #worthless = new WeakSet<object>()
  #refusal: Error | undefined

  constructor(options: ListSearchOptions) {
    this.#options = options
    this.asking = new ListAsking(options)
  }

  /** Believes a list that was kept from before, if any. */
  async recall(): Promise<void> {
    const { lists, digest, liars } = this.#options
    const kept = await lists.find(digest)
    if (kept !== undefined && !kept.some(({ author }) => liars.has(author, digest)))
      this.#candidates.add(kept)
  }

  /** A list that this node makes from what it receives from the origin. */
  begin(layout: Layout): Candidate {
    return this.#candidates.begin(new PieceHashes(this.#options.digest, layout))
  }

  best(): Candidate | undefined {
    return this.#candidates.best()
  }

  /** Other lists by which something can be had from someone now. */
  rivals(current: Candidate): Rival[] {
    const nowMs = this.#options.clock.now()
    const rivals: Rival[] = []
    for (const candidate of this.#candidates.remaining()) {
      if (candidate === current || candidate.isTooLarge || candidate.untilMs > nowMs) continue
      const giver = this.#options.sources.holding().find(({ peer, holds }) => {
        return candidate.backers.has(peer) && holds.size === candidate.list.layout.size && holds.held.held > 0
      })
      if (giver !== undefined) rivals.push({ candidate, giver })
    }
    return rivals
  }

  /** There is no room for what the list tells of. */
  refuse(candidate: Candidate, reason: Error): void {
    candidate.isTooLarge = true
    this.#refusal = reason
  }

  /** Why nothing is tried any more where all is too large: one member alone may have said so of anything. */
  refusal(): Error {
    const { digest } = this.#options
    const isShared = this.#candidates
      .remaining()
      .some(({ backers, authors }) => backers.size !== 1 || authors.size > 1)
    const sizes = this.#candidates.remaining().map(({ list }) => list.layout.size)
    const reason = `the only member that can be reached says that it has ${sizes.join(' or ')} bytes, for which there is no room here`
    const refusal = this.#refusal ?? new BlobUnavailableError(digest, reason)
    return isShared ? refusal : new BlobUnavailableError(digest, reason, { cause: refusal })
  }

  /** Another was more use than this one. */
  giveUp(candidate: Candidate): void {
    candidate.untilMs = this.#options.clock.now() + againMs * 2 ** Math.min(candidate.losses, 5)
    candidate.losses++
  }

  /** Whether everyone who holds any of it has given a list, and there is no room for any of these. */
  get isTooLarge(): boolean {
    const candidates = this.#candidates.remaining()
    const isAll = this.#options.sources.holding().every(({ list }) => list === 'given' || list === 'refused')
    return isAll && candidates.length > 0 && candidates.every((candidate) => candidate.isTooLarge)
  }

  /** What the peer gave last, where that is another list than this one. */
  dissentOf({ peer }: Source, current: Candidate): Candidate | undefined {
    const own = this.#candidates.of(peer)
    return own === current ? undefined : own
  }

  /** Asks someone who holds more than the list tells of how it goes on. */
  grow(current: Candidate): void {
    this.asking.grow(current.list, (source) => !this.isDoubted(source, current))
  }

  /** A piece of the peer does not have the hash that the list says. */
  suspect(source: Source, piece: number, against: Candidate): void {
    if (hasSigned(against, source.peer, piece)) {
      this.#condemn({ source, piece })
      return
    }
    this.#suspects.set(source.peer, { source, piece, against })
    if (source.list !== 'asked') this.#options.sources.askList(source)
  }

  /** Whether a piece of the peer did not match this list, and it has not said yet what it goes by; or that is known to be wrong. */
  isDoubted(source: HoldingSource, current: Candidate): boolean {
    return this.#suspects.get(source.peer)?.against === current || this.isWorthless(source)
  }

  /** Whether what the peer holds is of a list that is known to be wrong. */
  isWorthless({ holds }: HoldingSource): boolean {
    return this.#worthless.has(holds)
  }

  heard(source: Source, event: WantEvent): void {
    if (event.type === 'list') {
      // Ends by itself: it reads nothing but memory. Its failures are the peer's.
      void this.#read(source, event.bytes)
      return
    }
    if (event.type === 'no-list') source.list = 'refused'
    if (event.type === 'ended' && this.#suspects.get(source.peer)?.source === source) {
      this.#suspects.delete(source.peer)
    }
  }

  /** The pieces matched, and the blob they make up is another one. */
  convict(candidate: Candidate): void {
    this.#candidates.remove(candidate)
    this.#wrong.push(candidate)
    for (const author of candidate.authors) {
      if (candidate.vouchers.has(author)) this.#convict(author)
      else this.#doubted.add(author)
    }
    for (const source of this.#options.sources.holding()) {
      if (source.list === 'given') source.list = 'none'
    }
  }

  /** The blob is proven under this list, so whoever signed something else lied. */
  prove(candidate: Candidate): void {
    const others = [...this.#wrong, ...this.#candidates.remaining()].filter((other) => other !== candidate)
    const liars = new Set(others.flatMap((other) => [...liarsOf(other, candidate.list)]))
    for (const author of liars) this.#convict(author)
  }

  #convict(author: string): void {
    const { self, liars, digest, faults, sources } = this.#options
    if (author === self || liars.has(author, digest)) return
    liars.add(author, digest)
    faults.add(author, 'lying-list', { digest })
    const liar = sources.get(author)
    if (liar !== undefined) sources.shun(liar, 'for-good')
  }

  /** Who signed one thing before and now another of the same pieces; what it signed is worth nothing. */
  #expose(lists: readonly SignedPieceList[]): void {
    const guilty = new Set(
      this.#candidates
        .remaining()
        .flatMap(({ list }) => list.lists)
        .filter((known) => lists.some((list) => list.author === known.author && contradicts(list, known)))
        .map(({ author }) => author),
    )
    for (const author of guilty) {
      this.#convict(author)
      for (const candidate of this.#candidates.remaining()) {
        if (!candidate.list.lists.some((list) => list.author === author)) continue
        this.#candidates.remove(candidate)
        this.#options.onDisproved(candidate)
      }
    }
  }

  #condemn({ source, piece }: Pick<Suspect, 'source' | 'piece'>): void {
    this.#suspects.delete(source.peer)
    this.#candidates.disown(source.peer)
    this.#options.onGuilty(source, piece)
  }

  async #read(source: Source, bytes: Uint8Array): Promise<void> {
    const { digest, verifier, faults, sources, liars, clock } = this.#options
    const size = source.holds?.size
    let signed: SignedPieceList[]
    try {
      signed = await openLists(bytes, { digest, ...(size === undefined ? {} : { size }) }, verifier)
    } catch (error) {
      if (!(error instanceof MalformedError || error instanceof BadSignatureError)) throw error
      faults.add(source.peer, 'wrong-list', { digest, reason: error.message })
      this.#suspects.delete(source.peer)
      sources.shun(source, 'for-good')
      return
    }
    this.#expose(signed)
    const isLie = signed.some(({ author, after }) => {
      return liars.has(author, digest) || (after !== undefined && this.#doubted.has(author))
    })
    const current = this.#options.current()
    const candidate = isLie ? undefined : this.#candidates.add(signed, { peer: source.peer, current })
    if (isLie && source.holds !== undefined) this.#worthless.add(source.holds)
    source.listAskedMs = clock.now()
    source.list = candidate === undefined ? 'refused' : 'given'
    if (candidate !== undefined) this.asking.answered()
    // It goes on from a list that is not known here: that list is wanted whole.
    const isOther = candidate === undefined && !isLie && (signed[0]?.after?.pieces ?? 0) > 0
    if (isOther) sources.askList(source)
    else this.#judge(source, candidate)
    this.#options.onFound()
  }

  #judge(source: Source, candidate: Candidate | undefined): void {
    const suspect = this.#suspects.get(source.peer)
    // Whoever gives a list that is no good, or that says nothing of the piece, has said nothing of it.
    if (suspect?.source !== source || candidate === undefined || candidate.list.known <= suspect.piece) return
    if (isAgreedOn(candidate.list, suspect.against.list, suspect.piece)) this.#condemn(suspect)
    else this.#suspects.delete(source.peer)
  }
}

/** Whether two signed lists tell different hashes of one piece. */
function contradicts(a: SignedPieceList, b: SignedPieceList): boolean {
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
