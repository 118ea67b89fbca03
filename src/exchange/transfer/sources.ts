/** The peers that may have one blob: found, asked, and heard, each through its link. */
import { type Clock, type Logger, untilOrAfter } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { peerIdOf } from '../../wire/wire.ts'
import type { ExchangeMembers, Providers } from '../contract.ts'
import type { Asking } from '../peer/asking.ts'
import type { Connections } from '../peer/connections.ts'
import type { Want, WantEvent } from '../peer/want.ts'
import type { Bitfield } from '../protocol/bitfield.ts'
import type { Wanted } from '../protocol/wanted.ts'

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
  /** Peers that are not asked. */
  refuses?(peer: string): boolean
  onEvent(source: Source, event: WantEvent): void
}

/** Members that are asked at once; beyond, those that the look-up finds. */
const maxMembers = 32
const maxSources = 64
/** With so many of many members, no further ones are looked for. */
const enoughHolding = 4
/** A member whose uplink is full answers behind all that it has to carry. */
const firstSearchMs = 6000
const againMs = { least: 250, most: 5000 }
const coolDownMs = { least: 500, most: 10_000 }
const maxRemembered = 1024

export class Sources {
  readonly #options: SourcesOptions
  readonly #sources = new Map<string, Source>()
  /** Peers that failed: not asked again before the time, which doubles. */
  readonly #shunned = new Map<string, { untilMs: number; forMs: number }>()
  readonly #first = Promise.withResolvers<boolean>()
  readonly #asked = Promise.withResolvers<void>()
  readonly #leave: () => void
  #searching = true
  #closed = false
  /** The last that held something has gone. */
  #lonely = Promise.withResolvers<void>()

  constructor(options: SourcesOptions) {
    this.#options = options
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

  /** Those that hold something. */
  holding(): HoldingSource[] {
    return [...this.#sources.values()].filter(isHolding)
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
      await untilOrAfter(this.#lonely.promise, waitMs, { clock, signal })
      this.#lonely = Promise.withResolvers()
      const isAlone = this.holding().length === 0
      // Who was left just now may be asked again after this.
      if (isAlone && !wasAlone) await clock.sleep(coolDownMs.least, { signal })
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

  /** Asks the peer, unless it is known, shunned, or one too many. */
  add(peer: string): void {
    const { self, links, wanted, clock, refuses } = this.#options
    if (this.#closed || peer === self || this.#sources.has(peer) || this.#sources.size >= maxSources) return
    if (refuses?.(peer) === true) return
    if ((this.#shunned.get(peer)?.untilMs ?? 0) > clock.now()) return
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
    const before = this.#shunned.get(source.peer)
    const forMs = Math.min(coolDownMs.most, before === undefined ? coolDownMs.least : 2 * before.forMs)
    const untilMs = how === 'for-good' ? Number.POSITIVE_INFINITY : this.#options.clock.now() + forMs
    const [oldest] = this.#shunned.keys()
    if (this.#shunned.size >= maxRemembered && oldest !== undefined) this.#shunned.delete(oldest)
    this.#shunned.set(source.peer, { untilMs, forMs })
    this.#options.onLess?.(source.peer, this.#options.wanted.digest)
    if (source.holds !== undefined && this.holding().length === 0) this.#lonely.resolve()
    this.#settle()
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
    for (let step = 0; step < peers.length && this.#sources.size < maxMembers; step++) {
      this.add(peers[(start + step) % peers.length] ?? '')
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
      this.#asked.resolve()
    }
  }
}

export function isHolding(source: Source): source is HoldingSource {
  return source.holds !== undefined
}
