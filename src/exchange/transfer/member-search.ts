/** Who may have one blob: members, asked at once, and whom the look-up in the DHT names, again while there is nobody, or might be more. */
import { type Clock, type Logger, untilOrAfter } from '../../base/base.ts'
import type { ExchangeMembers, Providers } from '../contract.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Sources } from './sources.ts'
import { leastCoolDownMs } from './strangers.ts'

export interface MemberSearchOptions {
  wanted: Wanted
  members: ExchangeMembers
  providers: Pick<Providers, 'find'>
  clock: Clock
  logger: Logger
  random(): number
  /** It can come from the origin, so that nobody waits for a look-up. */
  hasOrigin: boolean
  /** As far as can be told within about six seconds, nobody holds any of it. */
  onNobody(): void
}

/** Members that are asked at once, until neighbours are found; beyond, those that the look-up finds. */
const maxMembers = 32
/** Before it is said that nobody has it. What was pushed a moment ago no look-up finds yet. */
const maxAsked = 256
/** Of these, in other sites, as long as there are enough near. */
const farMembers = 8
/** With so many of many members, no further ones are looked for. */
const enoughHolding = 4
/** A member whose uplink is full answers behind all that it has to carry. */
const firstSearchMs = 6000
const againMs = { least: 250, most: 5000 }

export class MemberSearch {
  readonly #sources: Sources
  readonly #options: MemberSearchOptions
  readonly #asked = Promise.withResolvers<void>()
  #isAsked = false
  #isSearching = true
  /** Those that said that they have nothing of it, and made room for others. */
  readonly #without = new Set<string>()
  /** The last that held something has gone. */
  #lonely = Promise.withResolvers<void>()

  constructor(sources: Sources, options: MemberSearchOptions) {
    this.#sources = sources
    this.#options = options
  }

  /** Resolves when every member that was connected at the start has answered, or failed to. */
  get asked(): Promise<void> {
    return this.#asked.promise
  }

  get isAsked(): boolean {
    return this.#isAsked
  }

  /** Until stopped. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, onNobody } = this.#options
    const endFirst = async (): Promise<void> => {
      await clock.sleep(firstSearchMs, { signal })
      if (this.#sources.holding().length === 0) onNobody()
    }
    this.#addMembers()
    this.settle()
    await Promise.all([this.#run(signal), endFirst()])
  }

  /** A member has come. */
  joined(peer: string): void {
    if (this.#sources.size < maxMembers) this.#sources.add(peer)
  }

  /** To be told when the last that held something has gone. */
  lonely(): void {
    this.#lonely.resolve()
  }

  /** To be told when any has said whether it holds something. Returns whether all that are asked have. */
  settle(): boolean {
    const { hasAnswered } = this.#sources
    const isNowhere = !this.#isSearching && hasAnswered && this.#sources.holding().length === 0
    if (isNowhere && this.#askOthers()) return false
    if (isNowhere) this.#options.onNobody()
    // Among few members each is asked; of many, the look-up finds who has it.
    const isAsked = hasAnswered && (!this.#isSearching || !this.#areMany)
    if (isAsked) {
      this.#isAsked = true
      this.#asked.resolve()
    }
    return isAsked
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const sources = this.#sources
    await this.#untilWorthIt(signal)
    for (let waitMs = againMs.least; !signal.aborted; ) {
      if (!this.#isEnough(waitMs)) await this.#lookUp(signal)
      this.#isSearching = false
      sources.settle()
      const wasAlone = sources.holding().length === 0
      const { receivedBytes } = sources
      await untilOrAfter(this.#lonely.promise, waitMs, { clock, signal })
      this.#lonely = Promise.withResolvers()
      const isAlone = sources.holding().length === 0
      if (sources.receivedBytes === receivedBytes) sources.review({ isStarved: true })
      // Who was left just now may be asked again after this.
      if (isAlone && !wasAlone) await clock.sleep(leastCoolDownMs, { signal })
      waitMs = isAlone ? Math.min(2 * waitMs, againMs.most) : againMs.most
      this.#addMembers()
    }
  }

  get #areMany(): boolean {
    return this.#options.members.peers().length > maxMembers
  }

  /** Where every member is asked anyway, a look-up makes all of them answer once more: it comes first only when none of them has it. */
  async #untilWorthIt(signal: AbortSignal): Promise<void> {
    const { clock, hasOrigin } = this.#options
    if (this.#areMany) return
    await untilOrAfter(this.#asked.promise, againMs.least, { clock, signal })
    if (hasOrigin || this.#sources.holding().length > 0) await clock.sleep(againMs.least, { signal })
  }

  /** Where every member is asked, whoever has it brings the others along, unless after a while nobody has all of it. */
  #isEnough(waitMs: number): boolean {
    const holding = this.#sources.holding()
    if (this.#areMany) return holding.length >= enoughHolding
    const isYoung = waitMs === againMs.least && holding.length > 0
    return isYoung || holding.some(({ holds }) => holds.held.complete)
  }

  #addMembers(): void {
    const inTurn = this.#inTurn()
    const far = inTurn.filter((peer) => this.#sources.isFar(peer))
    const near = inTurn.filter((peer) => !this.#sources.isFar(peer))
    for (const peer of [...far.splice(0, farMembers), ...near, ...far]) this.joined(peer)
  }

  /** Adds so many more, of those that are not known. */
  widen(count: number, isKnown: (peer: string) => boolean): void {
    const others = this.#inTurn().filter((peer) => !isKnown(peer))
    for (const peer of others.slice(0, Math.max(0, count))) this.#sources.add(peer)
  }

  /** Asks the next of many members, in place of those that have nothing. Returns whether there were any. */
  #askOthers(): boolean {
    if (this.#options.hasOrigin || this.#without.size >= maxAsked) return false
    for (const peer of this.#sources.dismiss()) this.#without.add(peer)
    const others = this.#inTurn().filter((peer) => !this.#without.has(peer))
    for (const peer of others.slice(0, maxMembers)) this.#sources.add(peer)
    return !this.#sources.hasAnswered
  }

  /** Everyone asks others first, so that no member is asked by all. */
  #inTurn(): string[] {
    const { members, random } = this.#options
    const peers = members.peers()
    const start = Math.floor(random() * peers.length)
    return [...peers.slice(start), ...peers.slice(0, start)]
  }

  async #lookUp(signal: AbortSignal): Promise<void> {
    const { providers, wanted, logger } = this.#options
    try {
      for await (const peer of providers.find(wanted, { signal })) this.#sources.add(peer)
    } catch (error) {
      signal.throwIfAborted()
      logger.warn({ err: error, digest: wanted.digest }, 'a look-up of providers failed')
    }
  }
}
