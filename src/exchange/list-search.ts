/**
 * Getting a piece list to download by, and finding out who is wrong when a piece does not match it.
 *
 * A peer that stands behind the list (gave it, or sent what matches it) and then sends what does not, is convicted at once.
 * Another is asked for its own list first: one that says the same of the piece convicts the peer, another one is a dissent
 * between their authors, which only the whole digest decides.
 */
import type { Clock } from '../base/base.ts'
import type { Digest } from '../oci/oci.ts'
import { BadSignatureError, MalformedError, type Verifier } from '../wire/wire.ts'
import type { Faults } from './faults.ts'
import { type Candidate, type Liars, ListCandidates } from './list-candidates.ts'
import { openPieceList, pieceHash, type SignedPieceList } from './piece-list.ts'
import type { PieceLists } from './piece-lists.ts'
import type { Source, Sources } from './sources.ts'
import type { WantEvent } from './want.ts'

export interface ListSearchOptions {
  digest: Digest
  sources: Sources
  lists: PieceLists
  liars: Liars
  faults: Faults
  verifier: Verifier
  clock: Clock
  onFound(): void
  /** The peer's piece is wrong by its own list. */
  onGuilty(source: Source, piece: number): void
  /** Peers disagree on what the right pieces are. */
  onDissent(): void
}

interface Suspect {
  source: Source
  piece: number
  against: Candidate
  sinceMs: number
}

/** A peer that has not sent its list for so long does not keep another from being asked. */
const patienceMs = 150
const maxAsked = 4
const refusedMs = 1000
const suspectMs = 1000

export class ListSearch {
  readonly #options: ListSearchOptions
  readonly #candidates = new ListCandidates()
  readonly #suspects = new Map<string, Suspect>()

  constructor(options: ListSearchOptions) {
    this.#options = options
  }

  /** Believes a list that was kept from before, if any. */
  async recall(): Promise<void> {
    const { lists, digest, liars } = this.#options
    const kept = await lists.find(digest)
    if (kept !== undefined && !liars.has(kept.author, digest)) this.#candidates.add(kept)
  }

  best(): Candidate | undefined {
    return this.#candidates.best()
  }

  /** Another list that has more behind it, or any that can be had from someone when the current one has nobody left. */
  better(current: Candidate, isAlone: boolean): Candidate | undefined {
    const other = this.#candidates.best(current)
    if (other === undefined) return undefined
    const isStronger = other.backers.size > current.backers.size
    const isThere = [...other.backers].some((peer) => this.#options.sources.get(peer)?.holds !== undefined)
    return isThere && (isStronger || isAlone) ? other : undefined
  }

  /** Asks one holder after the other for its list. */
  ask(): void {
    const { sources, clock } = this.#options
    const nowMs = clock.now()
    const holding = sources.holding()
    let recent = 0
    let asked = 0
    for (const source of holding) {
      const age = nowMs - source.listAskedMs
      if (source.list === 'refused' && age > refusedMs) source.list = 'none'
      if (source.list !== 'asked') continue
      asked++
      if (age < patienceMs) recent++
    }
    if (recent > 0 || asked >= maxAsked) return
    const next =
      holding.find(({ list, holds }) => list === 'none' && holds.held.complete) ??
      holding.find(({ list }) => list === 'none')
    if (next !== undefined) sources.askList(next)
  }

  /** Asks a holder that disagrees on the size. */
  question(source: Source): void {
    if (source.list === 'none') this.#options.sources.askList(source)
  }

  /** A piece of the peer does not have the hash that the list says. */
  suspect(source: Source, piece: number, against: Candidate): void {
    const { sources, clock } = this.#options
    const isBound = against.backers.has(source.peer) || against.authors.has(source.peer)
    if (isBound) {
      this.#condemn({ source, piece })
      return
    }
    this.#suspects.set(source.peer, { source, piece, against, sinceMs: clock.now() })
    if (source.list !== 'asked') sources.askList(source)
  }

  /** Whether the peer's pieces are not to be had under this list. */
  isDoubted({ peer }: Source, current: Candidate): boolean {
    return this.#suspects.has(peer) || this.#candidates.isDissenter(peer, current)
  }

  heard(source: Source, event: WantEvent): void {
    if (event.type === 'list') {
      // Ends by itself: it reads nothing but memory. Its failures are the peer's.
      void this.#read(source, event.bytes)
      return
    }
    if (event.type === 'no-list') source.list = 'refused'
    const suspect = this.#suspects.get(source.peer)
    if (suspect?.source === source) this.#condemn(suspect)
  }

  /** Suspects that do not answer have nothing to say for themselves. */
  expire(): void {
    const beforeMs = this.#options.clock.now() - suspectMs
    for (const suspect of [...this.#suspects.values()]) if (suspect.sinceMs < beforeMs) this.#condemn(suspect)
  }

  /** The pieces matched, and the blob they make up is another one. */
  convict(candidate: Candidate): void {
    const { liars, digest } = this.#options
    this.#candidates.remove(candidate)
    for (const author of candidate.authors) {
      liars.add(author, digest)
      this.#options.faults.add(author, 'lying-list', { digest })
      const liar = this.#options.sources.get(author)
      if (liar !== undefined) this.#options.sources.shun(liar, 'for-good')
    }
    for (const source of this.#options.sources.holding()) {
      if (source.list === 'given') source.list = 'none'
    }
  }

  /** The blob is proven under this list, so all others lied. */
  prove(candidate: Candidate): void {
    for (const other of this.#candidates.remaining()) if (other !== candidate) this.convict(other)
  }

  #condemn({ source, piece }: Pick<Suspect, 'source' | 'piece'>): void {
    this.#suspects.delete(source.peer)
    this.#candidates.disown(source.peer)
    this.#options.onGuilty(source, piece)
  }

  async #read(source: Source, bytes: Uint8Array): Promise<void> {
    const { digest, verifier, faults, sources, liars, clock } = this.#options
    const size = source.holds?.size
    let list: SignedPieceList
    try {
      list = await openPieceList(bytes, { digest, ...(size === undefined ? {} : { size }) }, verifier)
    } catch (error) {
      if (!(error instanceof MalformedError || error instanceof BadSignatureError)) throw error
      faults.add(source.peer, 'wrong-list', { digest, reason: error.message })
      this.#suspects.delete(source.peer)
      sources.shun(source, 'for-good')
      return
    }
    const isLie = liars.has(list.author, digest)
    const candidate = isLie ? undefined : this.#candidates.add(list, source.peer)
    source.list = candidate === undefined ? 'refused' : 'given'
    source.listAskedMs = clock.now()
    this.#judge(source, candidate)
    this.#options.onFound()
  }

  #judge(source: Source, candidate: Candidate | undefined): void {
    const suspect = this.#suspects.get(source.peer)
    if (suspect?.source !== source) return
    const isSame =
      candidate === undefined ||
      candidate === suspect.against ||
      !differs(candidate, suspect.against, suspect.piece)
    if (isSame) {
      this.#condemn(suspect)
      return
    }
    this.#suspects.delete(source.peer)
    this.#options.onDissent()
  }
}

function differs(a: Candidate, b: Candidate, piece: number): boolean {
  if (a.list.layout.size !== b.list.layout.size) return true
  return Buffer.compare(pieceHash(a.list, piece), pieceHash(b.list, piece)) !== 0
}
