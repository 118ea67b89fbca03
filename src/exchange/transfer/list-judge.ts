/**
 * The piece lists that come for one blob: whom to ask for them, which one to go by until the whole digest decides, and who is wrong
 * when something does not match. Pure: it is told what happens, and tells what is to be done.
 *
 * A peer that vouched for the list and sends what does not match it is convicted at once. Another is asked for its own list: another
 * one is a dissent between their authors, which only the whole digest decides; the same one says that the peer goes by it now, and not by
 * what it sent the piece by, and it is left, as is who says nothing. Of those who signed a list, the digest convicts who vouched for the whole;
 * what came from the origin may have been wrong before it came, so its authors are just not believed again by this transfer,
 * and convicted when the blob is proven to be another one. Who signs two hashes for one piece needs no further proof.
 */
import type { Digest } from '../../oci/oci.ts'
import type { Bitfield } from '../protocol/bitfield.ts'
import { firstPiece, type SignedPieceList } from '../protocol/piece-list.ts'
import type { Layout } from '../protocol/piece-size.ts'
import { turnBytes } from '../seeding/list-making.ts'
import {
  type Candidate,
  Candidates,
  contradicts,
  type Giver,
  type Holding,
  knownBytes,
} from './candidates.ts'
import { ListAsking } from './list-asking.ts'
import { type Trial, Trials } from './trials.ts'

export type ListCommand<G> =
  | { type: 'ask-list'; giver: G; from: number }
  /** A piece for a trial. What comes is for `tried`. */
  | { type: 'request' | 'cancel'; giver: G; piece: number }
  /** It owes a list, goes by one that is known to be wrong, or sent what its list does not say: it may be asked again later. */
  | { type: 'leave'; giver: G }
  /** Its piece is wrong by its own list. */
  | { type: 'bad'; giver: G; piece: number }
  /** It signed what is not so. */
  | { type: 'convict'; author: string }
  /** Who has read pieces that are wrong has read another blob. */
  | { type: 'disappoint'; isWrong?: (piece: number) => boolean }

export interface ListJudgeOptions<G extends Giver> {
  digest: Digest
  /** This node, whose own lists are not held against it. */
  self: string
  now(): number
  /** Who holds some of it. */
  holding(): Holding<G>[]
  /** Whether the author was convicted for this blob. */
  isLiar(author: string): boolean
  act(command: ListCommand<G>): void
}

/** Beyond, each costs more to be looked at than waiting for a tick does. */
const hastyLists = 256
/** So many blobs that were wrong, and that nobody had vouched for: then only who can be convicted is believed, or this node's origin. */
const maxUnproven = 2
/** So long is waited for a member that may say another size than the one that there is no room for. */
const sizesMs = 2000

export class ListJudge<G extends Giver> {
  readonly #options: ListJudgeOptions<G>
  readonly #candidates: Candidates
  readonly #asking: ListAsking<G>
  /** By which all pieces came, and were another blob. */
  readonly #wrong: Candidate[] = []
  #trials = new Trials<G>()
  /** That is downloaded by. */
  #current: Candidate | undefined
  /** That is to be tried instead of it. */
  #instead: Candidate | undefined
  /** Of how much by one that is not gone by before somebody vouches for it. */
  #awaitedBytes = 0
  /** When the first list was found for which there is no room. */
  #fullMs: number | undefined

  constructor(options: ListJudgeOptions<G>) {
    this.#options = options
    this.#candidates = new Candidates(options.digest)
    this.#asking = new ListAsking(options)
  }

  /** Where no download is under way, one is about to begin. */
  get isListed(): boolean {
    return (this.#instead ?? this.#best()) !== undefined
  }

  /** Whether another list than the current is to be tried. */
  get isOver(): boolean {
    return this.#instead !== undefined
  }

  /** Of how much of the blob the hashes are known by a list that is still growing. */
  get listedBytes(): number {
    return Math.max(this.#candidates.listedBytes, this.#awaitedBytes)
  }

  /** Whether nobody is left who may vouch for it. */
  get isHopeless(): boolean {
    if (this.unproven < maxUnproven || this.isListed) return false
    // Who gets it still will vouch for it.
    const isOpen = ({ list, holds }: Holding<G>): boolean =>
      !holds.held.complete || list === 'none' || list === 'asked'
    return !this.#options.holding().some(isOpen)
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

  /** A list that was kept from before. */
  recall(lists: readonly SignedPieceList[]): void {
    if (!lists.some(({ author }) => this.#options.isLiar(author))) this.#candidates.add(lists)
  }

  /** The one to go by; asks for lists where there is none. Throws when there is no room for any, and nobody is waited for. */
  next({ hasOrigin, isAsked }: { hasOrigin: boolean; isAsked: boolean }): Candidate | undefined {
    const holding = this.#options.holding()
    const candidate = this.#instead ?? this.#best()
    if (candidate !== undefined && (hasOrigin || holding.length > 0)) return candidate
    const { refusal } = this.#candidates
    if (refusal !== undefined && holding.every(({ list }) => list === 'given' || list === 'refused')) {
      const nowMs = this.#options.now()
      this.#fullMs ??= nowMs
      if (isAsked || nowMs - this.#fullMs >= sizesMs) throw refusal
    }
    this.#asking.begin()
    return undefined
  }

  /** It is downloaded by from now on. */
  follow(candidate: Candidate): void {
    this.#current = candidate
    this.#instead = undefined
  }

  /** Nothing is downloaded any more. */
  rest(): void {
    for (const trial of this.#trials.end()) this.#cancel(trial)
    this.#trials = new Trials()
    this.#current = undefined
  }

  /** There is no room for what it tells of. */
  refuse(candidate: Candidate, reason: Error): void {
    candidate.refusal = reason
    if (this.#instead === candidate) this.#instead = undefined
  }

  /** Begins a list that this node makes itself, of what comes from the origin. */
  begin(layout: Layout): void {
    this.#instead = this.#candidates.begin(layout, this.#current)
    if (this.#current !== undefined) this.#options.act({ type: 'disappoint' })
  }

  /** Which pieces of the giver may be asked for; `undefined` of none. Who says another size is asked for its list. */
  allows(giver: Holding<G>): ((piece: number) => boolean) | undefined {
    const current = this.#current
    if (current === undefined) return undefined
    if (giver.holds.size !== current.list.layout.size) {
      if (giver.list === 'none') this.#asking.ask(giver)
      return undefined
    }
    const own = this.#candidates.of(giver.peer)
    if (own !== undefined && own !== current) return (piece) => own.agreesOn(piece, current)
    return giver.doubt?.against === current ? undefined : () => true
  }

  /** Whether the giver goes by another list than the current, of which more may be agreed on than before. */
  isDissenting({ peer }: G): boolean {
    const own = this.#candidates.of(peer)
    return own !== undefined && own !== this.#current
  }

  /** Asks someone who holds more than the current list tells of how it goes on. */
  grow(current = this.#current): void {
    if (current !== undefined) this.#asking.grow(current.list, ({ doubt }) => doubt?.against !== current)
  }

  /** Lists of the giver have come; their signatures are right. */
  given(giver: G, lists: readonly SignedPieceList[]): void {
    const { isLiar, act } = this.#options
    this.#expose(lists)
    const known = this.#current?.list.known ?? 0
    // Who gets it still, and will vouch for it, is asked again.
    const isIdle = this.unproven >= maxUnproven && lists.every(({ after }) => after !== undefined)
    const isLie = lists.some(({ author, after }) => isLiar(author) || (after && this.#isDoubtful(author)))
    const candidate =
      isLie || isIdle ? undefined : this.#candidates.add(lists, { peer: giver.peer, current: this.#current })
    this.#asking.answered(giver, candidate === undefined ? 'refused' : 'given')
    const { doubt } = giver
    const [first] = lists
    if (isIdle) this.#awaitedBytes = Math.max(this.#awaitedBytes, ...lists.map(knownBytes))
    if (isLie) act({ type: 'leave', giver })
    else if (candidate === undefined) {
      // It goes on from a list that is not known here: that list is wanted whole.
      if (first !== undefined && firstPiece(first) > 0 && !isIdle) this.#asking.ask(giver)
    } else if (doubt !== undefined && candidate.list.known > doubt.piece) {
      giver.doubt = undefined
      if (candidate.agreesOn(doubt.piece, doubt.against)) {
        if (candidate.vouchers.has(giver.peer)) this.#condemn(giver, doubt.piece)
        else act({ type: 'leave', giver })
      }
    }
    if (candidate === undefined || giver.holds?.held.complete !== true) return
    // Who has all of it and hashes it still tells more as soon as there is more. Of little at a time no haste is made, nor for ever.
    const { list } = candidate
    if (
      candidate.refusal === undefined &&
      list.lists.length < hastyLists &&
      (list.known - known) * list.layout.pieceBytes >= turnBytes
    )
      this.grow(candidate)
  }

  /** The giver has no list. */
  refused(giver: G): void {
    this.#asking.answered(giver, 'refused')
  }

  /** A piece of the giver does not have the hash that the list says. */
  mismatched(giver: G, piece: number, against: Candidate): void {
    // What it signed of an origin it may have let go of since, for another list.
    if (against.vouchers.has(giver.peer)) {
      this.#condemn(giver, piece)
      return
    }
    giver.doubt = { piece, against }
    if (giver.list !== 'asked') this.#asking.ask(giver)
  }

  /** A piece came. Returns whether it was one for a trial: what is right by another list would be wrong by the current one. */
  tried(giver: G, piece: number, chunks: Uint8Array[]): boolean {
    const trial = this.#trials.heard(giver, piece, chunks, this.#options.now())
    if (trial?.isRight === false) this.mismatched(giver, piece, trial.candidate)
    return trial !== undefined
  }

  /** So much that matches the current list has come. */
  gained(bytes: number): void {
    this.#trials.gained(bytes)
  }

  /** Whether another list is to be tried: one that gets on while the current one does not. `held` is what came by that. */
  compare({ isSated, isServed, held }: { isSated: boolean; isServed: boolean; held: Bitfield }): void {
    const nowMs = this.#options.now()
    const current = this.#current
    // Nothing comes of what nobody wants: that tells nothing of its list.
    if (isSated) this.#trials.idle(nowMs)
    if (current === undefined || this.isOver || isSated) return
    for (const rival of this.#candidates.all()) {
      const giver = rival === current || rival.untilMs > nowMs ? undefined : this.#giverOf(rival)
      if (giver === undefined) continue
      if (!isServed) {
        this.#change(current, rival, held)
        return
      }
      const piece = this.#trials.begin(rival, giver, current, nowMs)
      if (piece !== undefined) this.#options.act({ type: 'request', giver, piece })
    }
    const better = this.#trials.better(nowMs)
    for (const trial of this.#trials.end(nowMs)) {
      const { candidate, giver, tookMs } = trial
      this.#cancel(trial)
      candidate.silent.add(giver.peer)
      if (tookMs !== undefined || this.#giverOf(candidate) === undefined) candidate.giveUp(nowMs)
    }
    if (better !== undefined) this.#change(current, better, held)
  }

  /** The pieces matched, and the blob they make up is another one. */
  convict(candidate: Candidate): void {
    this.#candidates.remove(candidate)
    this.#wrong.push(candidate)
    if (this.#instead !== undefined && !this.#mayBe(this.#instead)) this.#instead = undefined
    for (const author of candidate.vouchers) this.#convict(author)
    for (const giver of this.#options.holding()) if (giver.list === 'given') giver.list = 'none'
  }

  /** The blob is proven under this list, so whoever signed something else lied. */
  prove({ list }: Candidate): void {
    const others = [...this.#wrong, ...this.#candidates.all()]
    for (const author of new Set(others.flatMap((other) => other.liars(list)))) this.#convict(author)
  }

  /** Someone of whom something is to be had by it now. */
  #giverOf(candidate: Candidate): Holding<G> | undefined {
    const { list, backers, silent, refusal } = candidate
    if (refusal !== undefined || !this.#mayBe(candidate)) return undefined
    const isAble = ({ peer, holds }: Holding<G>): boolean =>
      backers.has(peer) && !silent.has(peer) && holds.size === list.layout.size && holds.held.held > 0
    return this.#options.holding().find(isAble)
  }

  #change(current: Candidate, better: Candidate, held: Bitfield): void {
    current.giveUp(this.#options.now())
    this.#instead = better
    const isWrong = (piece: number): boolean => !better.agreesOn(piece, current)
    // What was read of pieces that the other list does not have is worthless.
    if (held.pieces().some(isWrong)) this.#options.act({ type: 'disappoint', isWrong })
  }

  #best(): Candidate | undefined {
    return this.#candidates.best((candidate) => this.#mayBe(candidate))
  }

  /** Sections cost their authors nothing when they are wrong, so that any number of keys could have all that is read be another blob. */
  #mayBe({ authors, vouchers }: Candidate): boolean {
    const isOwn = [...authors].every((author) => author === this.#options.self)
    return this.unproven < maxUnproven || vouchers.size > 0 || isOwn
  }

  #cancel({ giver, piece, tookMs }: Trial<G>): void {
    if (tookMs === undefined) this.#options.act({ type: 'cancel', giver, piece })
  }

  /** Whether its sections made up a wrong blob. */
  #isDoubtful(author: string): boolean {
    return this.#wrong.some(({ authors, vouchers }) => authors.has(author) && !vouchers.has(author))
  }

  /**
   * Who signed one thing before and now another of the same pieces; what it signed is worth nothing. Not this node: what it signed of
   * an origin that was wrong once, any member may keep and send whenever it likes.
   */
  #expose(lists: readonly SignedPieceList[]): void {
    const { self } = this.#options
    const twofold = new Set<string>()
    for (const { list } of this.#candidates.all()) {
      // What agrees with a list as a whole contradicts none of those that it is made of, which may be thousands.
      const others = lists.filter((one) => one.author !== self && contradicts(one, list))
      if (others.length === 0) continue
      const isTwofold = (known: SignedPieceList): boolean =>
        others.some((one) => one.author === known.author && contradicts(one, known))
      for (const { author } of list.lists.filter(isTwofold)) twofold.add(author)
    }
    for (const author of twofold) {
      this.#convict(author)
      for (const candidate of this.#candidates.all()) {
        if (candidate.list.lists.some((list) => list.author === author)) this.#abandon(candidate)
      }
    }
  }

  /** Nothing is to be had by it any more. */
  #abandon(candidate: Candidate): void {
    this.#candidates.remove(candidate)
    if (this.#current !== candidate) return
    this.#instead = this.#best() ?? this.#candidates.begin(candidate.list.layout)
    this.#options.act({ type: 'disappoint' })
  }

  #convict(author: string): void {
    const { self, isLiar, act } = this.#options
    if (author !== self && !isLiar(author)) act({ type: 'convict', author })
  }

  #condemn(giver: G, piece: number): void {
    this.#candidates.disown(giver.peer)
    this.#options.act({ type: 'bad', giver, piece })
  }
}
