/**
 * The piece lists that come for one blob: which may be gone by, and who is wrong when a piece does not match one.
 *
 * A peer that signed the hash and sends what does not match it is convicted at once. Another is asked for its own list: one that
 * says the same of the piece convicts the peer, another one is a dissent between their authors, which only the whole digest
 * decides; who says nothing is left out, and called nothing. Of those who signed a list, the digest convicts who vouched for the whole;
 * what came from the origin may have been wrong before it came, so its authors are just not believed again by this transfer,
 * and convicted when the blob is proven to be another one. Who signs two hashes for one piece needs no further proof.
 */
import type { Clock } from '../../base/base.ts'
import { BadSignatureError, MalformedError, type Verifier } from '../../wire/wire.ts'
import type { Faults } from '../peer/faults.ts'
import type { WantEvent } from '../peer/want.ts'
import { openLists } from '../protocol/list-pack.ts'
import type { SignedPieceList } from '../protocol/piece-list.ts'
import { layoutOf } from '../protocol/piece-size.ts'
import { turnBytes } from '../seeding/list-making.ts'
import type { PieceLists } from '../seeding/piece-lists.ts'
import { ListAsking } from './list-asking.ts'
import {
  type Candidate,
  contradicts,
  hasSigned,
  isAgreedOn,
  type Liars,
  ListCandidates,
  liarsOf,
} from './list-candidates.ts'
import type { HoldingSource, Source } from './source.ts'
import type { Sources } from './sources.ts'
import type { TransferState } from './transfer-state.ts'

export interface ListSearchOptions {
  self: string
  lists: Pick<PieceLists, 'find'>
  liars: Liars
  faults: Faults
  verifier: Verifier
  clock: Clock
  /** A list has come, or grown. */
  onFound(): void
  /** An author of the list contradicted itself: nothing is to be had by it any more. */
  onDisproved(candidate: Candidate): void
}

interface Suspect {
  source: Source
  piece: number
  against: Candidate
}

export class ListSearch {
  readonly asking: ListAsking
  readonly candidates: ListCandidates
  readonly #state: TransferState
  readonly #sources: Sources
  readonly #options: ListSearchOptions
  readonly #suspects = new Map<string, Suspect>()
  /** Lists by which all pieces came, and were another blob. */
  readonly #wrong: Candidate[] = []
  /** What peers held, as they said, by lists that are known to be wrong. */
  readonly #worthless = new WeakSet<object>()

  constructor(state: TransferState, sources: Sources, options: ListSearchOptions) {
    this.#state = state
    this.#sources = sources
    this.#options = options
    this.asking = new ListAsking(sources, options.clock)
    this.candidates = new ListCandidates(state.digest)
  }

  /** Believes a list that was kept from before, if any. */
  async recall(): Promise<void> {
    const { lists } = this.#options
    const kept = await lists.find(this.#state.digest)
    if (kept?.some(({ author }) => this.#isLiar(author)) === false) this.candidates.add(kept)
  }

  /** How often all pieces came, nobody vouched for their list, and they were another blob. */
  get unproven(): number {
    return this.#wrong.filter(({ vouchers }) => vouchers.size === 0).length
  }

  /** Whether the last blob that was another one came here from the origin alone. */
  get isOwnWrong(): boolean {
    return [...(this.#wrong.at(-1)?.authors ?? [''])].every((author) => author === this.#options.self)
  }

  /** Whether what is on the disk may be such a blob. */
  get isWrong(): boolean {
    return this.#wrong.length > 0
  }

  /** Whether others hold some of the blob, not known to be of a wrong list. */
  get isElsewhere(): boolean {
    return this.#sources.holding().some((source) => source.holds.held.held > 0 && !this.isWorthless(source))
  }

  /** Which pieces of the source may be asked for under the list; `undefined` of none. Who says another size is asked for its list. */
  allows(source: HoldingSource, current: Candidate): ((piece: number) => boolean) | undefined {
    if (source.holds.size !== current.list.layout.size) {
      if (source.list === 'none') source.askList(this.#options.clock.now())
      return undefined
    }
    const own = this.dissentOf(source, current)?.list
    if (own !== undefined) return (piece) => isAgreedOn(own, current.list, piece)
    return this.isDoubted(source, current) ? undefined : () => true
  }

  /** What the peer gave last, where that is another list than this one. */
  dissentOf({ peer }: Source, current: Candidate): Candidate | undefined {
    const own = this.candidates.of(peer)
    return own === current ? undefined : own
  }

  /** Asks someone who holds more than the list tells of how it goes on. */
  grow(current: Candidate): void {
    this.asking.grow(current.list, (source) => !this.isDoubted(source, current))
  }

  /** A piece of the peer does not have the hash that the list says. */
  suspect(source: Source, piece: number, against: Candidate): void {
    if (hasSigned(against, source.peer, piece)) {
      this.#condemn(source, piece)
      return
    }
    this.#suspects.set(source.peer, { source, piece, against })
    if (source.list !== 'asked') source.askList(this.#options.clock.now())
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
    // Ends by itself: it reads nothing but memory. Its failures are the peer's.
    if (event.type === 'list') void this.#read(source, event.bytes)
    else if (event.type === 'no-list') source.list = 'refused'
    else if (event.type === 'ended' && this.#suspects.get(source.peer)?.source === source) {
      this.#suspects.delete(source.peer)
    }
  }

  /** The pieces matched, and the blob they make up is another one. */
  convict(candidate: Candidate): void {
    this.candidates.remove(candidate)
    this.#wrong.push(candidate)
    for (const author of candidate.vouchers) this.#convict(author)
    for (const source of this.#sources.holding()) if (source.list === 'given') source.list = 'none'
  }

  /** The blob is proven under this list, so whoever signed something else lied. */
  prove(candidate: Candidate): void {
    const others = [...this.#wrong, ...this.candidates.remaining()].filter((other) => other !== candidate)
    const liars = new Set(others.flatMap((other) => [...liarsOf(other, candidate.list)]))
    for (const author of liars) this.#convict(author)
  }

  #isLiar(author: string): boolean {
    return this.#options.liars.has(author, this.#state.digest)
  }

  /** Whether its sections made up a wrong blob. */
  #isDoubtful(author: string): boolean {
    return this.#wrong.some(({ authors, vouchers }) => authors.has(author) && !vouchers.has(author))
  }

  #convict(author: string): void {
    const { self, liars, faults } = this.#options
    const { digest } = this.#state
    if (author === self || this.#isLiar(author)) return
    liars.add(author, digest)
    faults.add(author, 'lying-list', { digest })
    const liar = this.#sources.get(author)
    if (liar !== undefined) this.#sources.shun(liar, 'for-good')
  }

  /** Who signed one thing before and now another of the same pieces; what it signed is worth nothing. */
  #expose(lists: readonly SignedPieceList[]): void {
    const known = this.candidates.remaining().flatMap(({ list }) => list.lists)
    const isTwofold = (one: SignedPieceList): boolean =>
      lists.some((list) => list.author === one.author && contradicts(list, one))
    for (const author of new Set(known.filter(isTwofold).map((list) => list.author))) {
      this.#convict(author)
      for (const candidate of this.candidates.remaining()) {
        if (!candidate.list.lists.some((list) => list.author === author)) continue
        this.candidates.remove(candidate)
        this.#options.onDisproved(candidate)
      }
    }
  }

  /** The peer's piece is wrong by its own list. */
  #condemn(source: Source, piece: number): void {
    const { digest, attempt } = this.#state
    this.#suspects.delete(source.peer)
    this.candidates.disown(source.peer)
    this.#options.faults.add(source.peer, 'wrong-bytes', { digest, piece })
    source.want.bad(piece)
    attempt?.leave(source)
    this.#sources.shun(source, 'for-good')
  }

  async #read(source: Source, bytes: Uint8Array): Promise<void> {
    const { verifier, faults, clock, onFound } = this.#options
    const { digest } = this.#state
    const { holds, peer } = source
    let signed: SignedPieceList[]
    try {
      signed = await openLists(bytes, { digest, ...(holds && { size: holds.size }) }, verifier)
    } catch (error) {
      if (!(error instanceof MalformedError || error instanceof BadSignatureError)) throw error
      faults.add(peer, 'wrong-list', { digest, reason: error.message })
      this.#suspects.delete(peer)
      this.#sources.shun(source, 'for-good')
      return
    }
    this.#expose(signed)
    const isLie = signed.some(({ author, after }) => {
      return this.#isLiar(author) || (after !== undefined && this.#isDoubtful(author))
    })
    const current = this.#state.attempt?.candidate
    const known = current?.list.known ?? 0
    const candidate = isLie ? undefined : this.candidates.add(signed, { peer, current })
    if (isLie && source.holds !== undefined) this.#worthless.add(source.holds)
    source.listAskedMs = clock.now()
    source.list = candidate === undefined ? 'refused' : 'given'
    if (candidate !== undefined) this.asking.answered()
    // It goes on from a list that is not known here: that list is wanted whole.
    const isOther = candidate === undefined && !isLie && (signed[0]?.after?.pieces ?? 0) > 0
    if (isOther) source.askList(clock.now())
    else this.#judge(source, candidate)
    onFound()
    // Who has all of it and hashes it still tells more as soon as there is more. Of little at a time no haste is made.
    const grownBytes = ((candidate?.list.known ?? 0) - known) * layoutOf(source.holds?.size ?? 0).pieceBytes
    if (candidate !== undefined && source.holds?.held.complete === true && grownBytes >= turnBytes)
      this.grow(candidate)
  }

  #judge(source: Source, candidate: Candidate | undefined): void {
    const suspect = this.#suspects.get(source.peer)
    // Whoever gives a list that is no good, or that says nothing of the piece, has said nothing of it.
    if (suspect?.source !== source || candidate === undefined || candidate.list.known <= suspect.piece) return
    if (isAgreedOn(candidate.list, suspect.against.list, suspect.piece)) this.#condemn(source, suspect.piece)
    else this.#suspects.delete(source.peer)
  }
}
