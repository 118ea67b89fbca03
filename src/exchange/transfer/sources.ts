/** The peers that have one blob, or may: each asked through its link and heard, and those that are exchanged with chosen among them. */
import type { Digest } from '../../oci/oci.ts'
import { peerIdOf } from '../../wire/wire.ts'
import type { Connections } from '../peer/connections.ts'
import type { WantEvent } from '../peer/want.ts'
import { maxNeighbours, Neighbourhood } from '../picker/neighbourhood.ts'
import { layoutOf } from '../protocol/piece-size.ts'
import { Debts } from './debts.ts'
import { MemberSearch, type MemberSearchOptions } from './member-search.ts'
import { type HoldingSource, isHolding, Source } from './source.ts'
import { Strangers } from './strangers.ts'

export interface SourcesOptions extends MemberSearchOptions {
  self: string
  links: Connections
  /** The peer may hold less of it than it said before. */
  onLess(peer: string, digest: Digest): void
  /** Who asks this node for the blob now. */
  downloadersOf(digest: Digest): string[]
  /** Peers that are not asked. */
  refuses(peer: string): boolean
  onEvent(source: Source, event: WantEvent): void
}

const maxSources = 64
/** Pieces that come from each neighbour, on average, before one is exchanged for another. */
const turnPieces = 4
/** Whether that is so is looked at this often, and after as many pieces. */
const reviewBytes = 1024 * 1024
const maxRemembered = 1024

export class Sources {
  readonly search: MemberSearch
  readonly #options: SourcesOptions
  readonly #sources = new Map<string, Source>()
  readonly #strangers: Strangers
  readonly #neighbourhood: Neighbourhood
  readonly #debts: Debts
  /** They fetch it too, so that they will have some of it. */
  readonly #downloaders = new Set<string>()
  /** Of all of it, when a neighbour was last looked for. */
  #reviewedBytes = 0
  #reviewBytes = reviewBytes
  #receivedBytes = 0
  readonly #leave: () => void
  #closed = false

  constructor(options: SourcesOptions) {
    this.#options = options
    this.search = new MemberSearch(this, options)
    this.#strangers = new Strangers(options.clock)
    this.#neighbourhood = new Neighbourhood({ random: () => options.random() })
    this.#debts = new Debts({
      clock: options.clock,
      holding: () => this.holding(),
      onPause: (source, retryAfterMs) => options.onEvent(source, { type: 'busy', retryAfterMs }),
    })
    this.#leave = options.members.onChange(({ kind, peer }) => {
      if (kind === 'join') this.search.joined(peer)
    })
  }

  get size(): number {
    return this.#sources.size
  }

  /** Of all of it, from all of them. */
  get receivedBytes(): number {
    return this.#receivedBytes
  }

  /** Whether each of them has said whether it holds anything. */
  get hasAnswered(): boolean {
    return [...this.#sources.values()].every(({ answered }) => answered)
  }

  /** Those that hold something. */
  holding(): HoldingSource[] {
    return [...this.#sources.values()].filter(isHolding)
  }

  isFar(peer: string): boolean {
    return this.#options.members.isFar?.(peer) === true
  }

  /** Those of this node's site that fetch it, too, as far as they are known; `undefined` where sites are not. */
  fellows(): string[] | undefined {
    const { members, wanted, downloadersOf } = this.#options
    if (members.isFar === undefined) return undefined
    const holding = this.holding().map(({ peer }) => peer)
    const fellows = new Set([...holding, ...downloadersOf(wanted.digest)])
    return [...fellows].filter((peer) => !this.isFar(peer) && this.get(peer)?.holds?.held.complete !== true)
  }

  all(): Iterable<Source> {
    return this.#sources.values()
  }

  get(peer: string): Source | undefined {
    return this.#sources.get(peer)
  }

  /** Whether the peer has said that it holds the piece. */
  isWith(peer: string, piece: number): boolean {
    return this.get(peer)?.holds?.held.has(piece) === true
  }

  /** A peer that asks for the blob: asked in turn, and waited for. */
  consider(peer: string): void {
    if (this.#downloaders.size < maxRemembered) this.#downloaders.add(peer)
    this.add(peer)
  }

  /** Asks the peer, unless it is known, shunned, or one too many: then it is tried when there is a place. */
  add(peer: string): void {
    const { self, refuses } = this.#options
    if (this.#closed || peer === self || this.#sources.has(peer) || refuses(peer)) return
    const isFull = this.#debts.neighbours().length >= this.#debts.places || this.#sources.size >= maxSources
    if (isFull || this.#strangers.isCooling(peer)) this.#strangers.add(peer)
    else this.#ask(peer)
  }

  #ask(peer: string): void {
    const { links, wanted } = this.#options
    this.#strangers.delete(peer)
    const link = links.to(peer)
    let source: Source | undefined
    const want = link.want(wanted, (event) => {
      if (source !== undefined) this.#heard(source, event)
    })
    if (want === undefined) return
    source = new Source(link, want, this.#options.clock.now())
    this.#sources.set(peer, source)
  }

  /** Lets go of a peer; it may be asked again after a while, or never. */
  shun(source: Source, how: 'for-now' | 'for-good'): void {
    if (this.#sources.get(source.peer) === source) this.#sources.delete(source.peer)
    source.link.release(source.want)
    this.#strangers.cool(source.peer, how)
    this.#options.onEvent(source, { type: 'ended' })
    this.#options.onLess(source.peer, this.#options.wanted.digest)
    if (source.holds !== undefined && this.holding().length === 0) this.search.lonely()
    if (how === 'for-now') this.#strangers.add(source.peer)
    this.review()
    this.settle()
  }

  /** Lets go of a neighbour for another. */
  #part(source: Source): void {
    this.#sources.delete(source.peer)
    source.link.release(source.want)
    this.#strangers.add(source.peer)
    this.#options.onEvent(source, { type: 'ended' })
  }

  /** To be called now and then: whoever owes what it says it holds makes room for others. */
  check(): void {
    if (!this.#debts.look()) return
    if (this.#debts.isHungry) {
      this.#debts.pause()
      const tries = this.#debts.places - this.#debts.neighbours().length
      this.#leaveOverdue(tries)
      this.search.widen(tries, (peer) => this.#sources.has(peer) || this.#strangers.has(peer))
    }
    this.review()
  }

  /** A piece of the peer was proven. */
  gave(peer: string): void {
    const source = this.#sources.get(peer)
    if (source !== undefined) this.#debts.gave(source)
  }

  /** So many others are to be asked. */
  #leaveOverdue(tries: number): void {
    for (const source of this.#debts.spare(this.#sources.size + tries - maxSources)) this.#part(source)
  }

  /** Whom to have as neighbours from now on. */
  review({ isStarved = false } = {}): void {
    if (this.#closed) return
    const holding = this.#debts.neighbours()
    const [first] = this.holding()
    if (first === undefined) return
    const { pieceBytes } = layoutOf(first.holds.size)
    this.#reviewedBytes = this.#receivedBytes
    this.#reviewBytes = Math.max(reviewBytes, turnPieces * pieceBytes)
    const neighbours = holding.map(({ peer, holds, receivedBytes }) => ({
      peer,
      isComplete: holds.held.complete,
      isFar: this.isFar(peer),
      receivedBytes,
    }))
    const strangers = this.#strangers.ready()
    const far = strangers.filter((peer) => this.isFar(peer))
    const near = strangers.filter((peer) => !this.isFar(peer))
    const { leave, tries } = this.#neighbourhood.review(neighbours, {
      isStarved,
      places: this.#debts.places,
      strangers: { near: near.length, far: far.length },
      turnBytes: turnPieces * maxNeighbours * pieceBytes,
    })
    for (const source of holding) if (leave.includes(source.peer)) this.#part(source)
    if (strangers.length > 0) this.#leaveOverdue(tries.near + tries.far)
    // Those that are asked already may be neighbours in a moment.
    const asked = [...this.#sources.values()].filter(({ answered }) => !answered)
    const askedFar = asked.filter(({ peer }) => this.isFar(peer)).length
    const tried = [
      ...near.slice(0, Math.max(0, tries.near - (asked.length - askedFar))),
      ...far.slice(0, Math.max(0, tries.far - askedFar)),
    ]
    for (const peer of tried) this.#ask(peer)
  }

  /** It has no place for this node: others may. */
  #refused(source: Source): void {
    if (source.receivedBytes > 0 || this.holding().length < 2) return
    this.#strangers.cool(source.peer)
    this.#part(source)
    this.review()
  }

  /** Who has nothing of it is not listened to, once others have, and unless it fetches it too. */
  #dismissMost(): void {
    if (this.#sources.size <= maxNeighbours || this.holding().length === 0) return
    this.dismiss((peer) => this.#downloaders.has(peer))
  }

  /** Listens no more to those that have nothing of it. Returns them. */
  dismiss(isKept: (peer: string) => boolean = () => false): string[] {
    const without = [...this.#sources.values()].filter(
      ({ peer, answered, holds }) => answered && holds === undefined && !isKept(peer),
    )
    for (const { peer, link, want } of without) {
      this.#sources.delete(peer)
      link.release(want)
    }
    return without.map(({ peer }) => peer)
  }

  close(): void {
    this.#closed = true
    this.#leave()
    for (const source of this.#sources.values()) source.link.release(source.want)
    this.#sources.clear()
  }

  #heard(source: Source, event: WantEvent): void {
    if (this.#sources.get(source.peer) !== source) return
    if (event.type === 'bytes') this.#receivedBytes += event.bytes
    if (event.type === 'holds' && !source.answered)
      this.#debts.answered(this.#options.clock.now() - source.askedMs)
    const isLess = source.heard(event)
    if (event.type === 'ended') {
      this.shun(source, 'for-now')
      return
    }
    if (event.type === 'busy') this.#refused(source)
    else if (event.type === 'others') for (const key of event.keys) this.add(peerIdOf(key))
    if (isLess) this.#options.onLess(source.peer, this.#options.wanted.digest)
    this.#options.onEvent(source, event)
    const isNews = event.type === 'holds' || event.type === 'absent'
    if (isNews || this.#receivedBytes - this.#reviewedBytes >= this.#reviewBytes) this.review()
    if (isNews) this.settle()
  }

  settle(): void {
    if (this.search.settle()) this.#dismissMost()
  }
}
