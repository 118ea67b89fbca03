/** The peers that may have one blob: found, asked, and heard, each through its link. */
import { type Clock, type Logger, untilOrAfter } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { peerIdOf } from '../../wire/wire.ts'
import type { ExchangeMembers, Providers } from '../contract.ts'
import type { Asking } from '../peer/asking.ts'
import type { Connections } from '../peer/connections.ts'
import type { Want, WantEvent } from '../peer/want.ts'
import { maxNeighbours, Neighbourhood } from '../picker/neighbourhood.ts'
import type { Bitfield } from '../protocol/bitfield.ts'
import { layoutOf } from '../protocol/piece-size.ts'
import type { Wanted } from '../protocol/wanted.ts'
import { CoolDowns, leastCoolDownMs } from './cool-downs.ts'

export interface Source {
  readonly peer: string
  readonly link: Asking
  readonly want: Want
  /** It has said whether it holds anything. */
  answered: boolean
  /** The blob's size as it says, and what of it it holds; `undefined` while that is nothing. */
  holds: { size: number; held: Bitfield } | undefined
  /** Whether its list was asked for, and what came of that. */
  list: 'none' | 'asked' | 'given' | 'refused'
  listAskedMs: number
  /** From which piece on it was asked for. */
  listFrom: number
  /** Of pieces of this blob. */
  receivedBytes: number
}

export type HoldingSource = Source & { holds: { size: number; held: Bitfield } }

export interface SourcesOptions {
  self: string
  wanted: Wanted
  links: Connections
  members: ExchangeMembers
  providers: Pick<Providers, 'find'>
  clock: Clock
  logger: Logger
  /** How long members that do not answer may delay saying that nobody has it; default 6 s. */
  withinMs?: number
  random(): number
  /** It can come from the origin, so that nobody waits for a look-up. */
  isOutside?: boolean
  /** The peer may hold less of it than it said before. */
  onLess?(peer: string, digest: Digest): void
  /** Who asks this node for the blob now. */
  downloadersOf?(digest: Digest): string[]
  /** Peers that are not asked. */
  refuses?(peer: string): boolean
  onEvent(source: Source, event: WantEvent): void
}

/** Members that are asked at once, until neighbours are found; beyond, those that the look-up finds. */
const maxMembers = 32
const maxSources = 64
/** Of these, in other sites. */
const farMembers = 8
/** Pieces that come from each neighbour, on average, before one is exchanged for another. */
const turnPieces = 4
/** Whether that is so is looked at this often. */
const reviewBytes = 1024 * 1024
/** With so many of many members, no further ones are looked for. */
const enoughHolding = 4
/** A member whose uplink is full answers behind all that it has to carry. */
const firstSearchMs = 6000
const againMs = { least: 250, most: 5000 }
const maxRemembered = 1024

export class Sources {
  readonly #options: SourcesOptions
  readonly #sources = new Map<string, Source>()
  readonly #coolDowns: CoolDowns
  readonly #neighbourhood: Neighbourhood
  /** Known, and no neighbours for want of a place; those that were left last are tried last. */
  readonly #strangers = new Set<string>()
  /** They fetch it too, so that they will have some of it. */
  readonly #downloaders = new Set<string>()
  /** Of all of it, when a neighbour was last looked for. */
  #reviewedBytes = 0
  #receivedBytes = 0
  readonly #first = Promise.withResolvers<boolean>()
  readonly #asked = Promise.withResolvers<void>()
  readonly #leave: () => void
  #isAsked = false
  #searching = true
  #closed = false
  /** The last that held something has gone. */
  #lonely = Promise.withResolvers<void>()

  constructor(options: SourcesOptions) {
    this.#options = options
    this.#coolDowns = new CoolDowns(options.clock)
    this.#neighbourhood = new Neighbourhood({ random: () => options.random() })
    this.#leave = options.members.onChange(({ kind, peer }) => {
      if (kind === 'join' && this.#sources.size < maxMembers) this.add(peer)
    })
  }

  /** Whether anyone holds any of it, within about six seconds. */
  get found(): Promise<boolean> {
    return this.#first.promise
  }

  /** Resolves when every member that was connected at the start has answered, or failed to. */
  get asked(): Promise<void> {
    return this.#asked.promise
  }

  get isAsked(): boolean {
    return this.#isAsked
  }

  /** Those that hold something. */
  holding(): HoldingSource[] {
    return [...this.#sources.values()].filter(isHolding)
  }

  isFar(peer: string): boolean {
    return this.#options.members.isFar?.(peer) === true
  }

  /** Those of this node's site that fetch it, too, as far as they are known. */
  fellows(): string[] {
    const { members, wanted, downloadersOf } = this.#options
    if (members.isFar === undefined) return []
    const holding = this.holding().map(({ peer }) => peer)
    const fellows = new Set([...holding, ...(downloadersOf?.(wanted.digest) ?? [])])
    return [...fellows].filter((peer) => !this.isFar(peer) && this.get(peer)?.holds?.held.complete !== true)
  }

  all(): Iterable<Source> {
    return this.#sources.values()
  }

  get(peer: string): Source | undefined {
    return this.#sources.get(peer)
  }

  /** Looks for peers until stopped: at once, and again while there is nobody, or might be more. */
  async search(signal: AbortSignal): Promise<void> {
    this.#addMembers()
    this.#settle()
    await Promise.all([this.#searchOn(signal), this.#endFirst(signal)])
  }

  async #endFirst(signal: AbortSignal): Promise<void> {
    const { clock, withinMs = firstSearchMs } = this.#options
    await clock.sleep(withinMs, { signal })
    this.#first.resolve(false)
  }

  async #searchOn(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    await this.#untilWorthIt(signal)
    for (let waitMs = againMs.least; !signal.aborted; ) {
      if (!this.#isEnough(waitMs)) await this.#find(signal)
      this.#searching = false
      this.#settle()
      const wasAlone = this.holding().length === 0
      const receivedBytes = this.#receivedBytes
      await untilOrAfter(this.#lonely.promise, waitMs, { clock, signal })
      this.#lonely = Promise.withResolvers()
      const isAlone = this.holding().length === 0
      if (this.#receivedBytes === receivedBytes) this.#review({ isStarved: true })
      // Who was left just now may be asked again after this.
      if (isAlone && !wasAlone) await clock.sleep(leastCoolDownMs, { signal })
      waitMs = isAlone ? Math.min(2 * waitMs, againMs.most) : againMs.most
      this.#addMembers()
    }
  }

  /** Where every member is asked anyway, a look-up makes all of them answer once more: it comes first only when none of them has it. */
  async #untilWorthIt(signal: AbortSignal): Promise<void> {
    const { clock, members, isOutside } = this.#options
    if (members.peers().length > maxMembers) return
    await untilOrAfter(this.#asked.promise, againMs.least, { clock, signal })
    if (isOutside === true || this.holding().length > 0) await clock.sleep(againMs.least, { signal })
  }

  /** Where every member is asked, whoever has it brings the others along, unless after a while nobody has all of it. */
  #isEnough(waitMs: number): boolean {
    const holding = this.holding()
    if (this.#options.members.peers().length > maxMembers) return holding.length >= enoughHolding
    const isYoung = waitMs === againMs.least && holding.length > 0
    return isYoung || holding.some(({ holds }) => holds.held.complete)
  }

  /** A peer that asks for the blob: asked in turn, and waited for. */
  consider(peer: string): void {
    if (this.#downloaders.size < maxRemembered) this.#downloaders.add(peer)
    this.add(peer)
  }

  /** Asks the peer, unless it is known, shunned, or one too many: then it is tried when there is a place. */
  add(peer: string): void {
    const { self, refuses } = this.#options
    if (this.#closed || peer === self || this.#sources.has(peer)) return
    if (refuses?.(peer) === true) return
    const isFull = this.holding().length >= maxNeighbours || this.#sources.size >= maxSources
    if (isFull || this.#coolDowns.has(peer)) this.#know(peer)
    else this.#ask(peer)
  }

  #know(peer: string): void {
    this.#strangers.delete(peer)
    if (this.#strangers.size < maxRemembered) this.#strangers.add(peer)
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
    source = {
      peer,
      link,
      want,
      answered: false,
      holds: undefined,
      list: 'none',
      listAskedMs: 0,
      listFrom: 0,
      receivedBytes: 0,
    }
    this.#sources.set(peer, source)
  }

  askList(source: Source, from = 0): void {
    source.list = 'asked'
    source.listAskedMs = this.#options.clock.now()
    source.listFrom = from
    source.want.askList(from)
  }

  /** Lets go of a peer; it may be asked again after a while, or never. */
  shun(source: Source, how: 'for-now' | 'for-good'): void {
    if (this.#sources.get(source.peer) === source) this.#sources.delete(source.peer)
    source.link.release(source.want)
    this.#coolDowns.add(source.peer, how)
    this.#options.onLess?.(source.peer, this.#options.wanted.digest)
    if (source.holds !== undefined && this.holding().length === 0) this.#lonely.resolve()
    if (how === 'for-now') this.#know(source.peer)
    this.#review()
    this.#settle()
  }

  /** Lets go of a neighbour for another. */
  #part(source: Source): void {
    this.#sources.delete(source.peer)
    source.link.release(source.want)
    this.#know(source.peer)
    this.#options.onEvent(source, { type: 'ended' })
  }

  /** Whom to have as neighbours from now on. */
  #review({ isStarved = false } = {}): void {
    if (this.#closed) return
    const holding = this.holding()
    const [first] = holding
    if (first === undefined) return
    this.#reviewedBytes = this.#receivedBytes
    const neighbours = holding.map(({ peer, holds, receivedBytes }) => ({
      peer,
      isComplete: holds.held.complete,
      isFar: this.isFar(peer),
      receivedBytes,
    }))
    const known = [...this.#strangers].filter((peer) => !this.#coolDowns.has(peer))
    const strangers = {
      near: known.filter((peer) => !this.isFar(peer)),
      far: known.filter((peer) => this.isFar(peer)),
    }
    const { leave, tries } = this.#neighbourhood.review(neighbours, {
      isStarved,
      strangers: { near: strangers.near.length, far: strangers.far.length },
      turnBytes: turnPieces * maxNeighbours * layoutOf(first.holds.size).pieceBytes,
    })
    for (const source of holding) if (leave.includes(source.peer)) this.#part(source)
    // Those that are asked already may be neighbours in a moment.
    const asked = [...this.#sources.values()].filter(({ answered }) => !answered)
    const askedFar = asked.filter(({ peer }) => this.isFar(peer)).length
    const tried = [
      ...strangers.near.slice(0, Math.max(0, tries.near - (asked.length - askedFar))),
      ...strangers.far.slice(0, Math.max(0, tries.far - askedFar)),
    ]
    for (const peer of tried) this.#ask(peer)
  }

  /** It has no place for this node: others may. */
  #refused(source: Source): void {
    if (source.receivedBytes > 0 || this.holding().length < 2) return
    this.#coolDowns.add(source.peer)
    this.#part(source)
    this.#review()
  }

  /** Who has nothing of it is not listened to, once others have, and unless it fetches it too. */
  #dismiss(): void {
    if (this.#sources.size <= maxNeighbours || this.holding().length === 0) return
    for (const source of this.#sources.values()) {
      if (!source.answered || source.holds !== undefined || this.#downloaders.has(source.peer)) continue
      this.#sources.delete(source.peer)
      source.link.release(source.want)
    }
  }

  close(): void {
    this.#closed = true
    this.#leave()
    this.#first.resolve(false)
    for (const source of this.#sources.values()) source.link.release(source.want)
    this.#sources.clear()
  }

  #addMembers(): void {
    const { members, random } = this.#options
    const peers = members.peers()
    // Everyone asks others first, so that no member is asked by all.
    const start = Math.floor(random() * peers.length)
    const inTurn = [...peers.slice(start), ...peers.slice(0, start)]
    const far = inTurn.filter((peer) => this.isFar(peer))
    const near = inTurn.filter((peer) => !this.isFar(peer))
    for (const peer of [...far.splice(0, farMembers), ...near, ...far]) {
      if (this.#sources.size >= maxMembers) return
      this.add(peer)
    }
  }

  async #find(signal: AbortSignal): Promise<void> {
    const { providers, wanted, logger } = this.#options
    try {
      for await (const peer of providers.find(wanted, { signal })) this.add(peer)
    } catch (error) {
      signal.throwIfAborted()
      logger.warn({ err: error, digest: wanted.digest }, 'a look-up of providers failed')
    }
  }

  #heard(source: Source, event: WantEvent): void {
    if (this.#sources.get(source.peer) !== source) return
    const before = source.holds
    this.#remember(source, event)
    const { holds } = source
    const isLess =
      event.type === 'lost' ||
      (before !== undefined && holds !== before && holds?.held.includes(before.held) !== true)
    if (isLess) this.#options.onLess?.(source.peer, this.#options.wanted.digest)
    this.#options.onEvent(source, event)
    const isNews = event.type === 'holds' || event.type === 'absent'
    if (isNews || this.#receivedBytes - this.#reviewedBytes >= reviewBytes) this.#review()
    this.#settle()
  }

  #remember(source: Source, event: WantEvent): void {
    switch (event.type) {
      case 'holds':
        source.answered = true
        source.holds = { size: event.size, held: event.held }
        break
      case 'absent':
        source.answered = true
        source.holds = undefined
        break
      case 'has':
        for (const piece of event.pieces) source.holds?.held.add(piece)
        break
      case 'lost':
        for (const piece of event.pieces) source.holds?.held.delete(piece)
        break
      case 'bytes':
        source.receivedBytes += event.bytes
        this.#receivedBytes += event.bytes
        break
      case 'busy':
        this.#refused(source)
        break
      case 'others':
        for (const key of event.keys) this.add(peerIdOf(key))
        break
      case 'ended':
        this.shun(source, 'for-now')
    }
  }

  #settle(): void {
    const haveAnswered = [...this.#sources.values()].every(({ answered }) => answered)
    if (this.holding().length > 0) this.#first.resolve(true)
    else if (!this.#searching && haveAnswered) this.#first.resolve(false)
    // Among few members each is asked; of many, the look-up finds who has it.
    if (haveAnswered && (!this.#searching || this.#options.members.peers().length <= maxMembers)) {
      this.#isAsked = true
      this.#asked.resolve()
      this.#dismiss()
    }
  }
}

export function isHolding(source: Source): source is HoldingSource {
  return source.holds !== undefined
}
