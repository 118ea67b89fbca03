/** Has other members take copies of what is here, the owners first, and remembers who said that they have them. */
import { type Clock, RecentMap, SingleFlight, unlessAborted } from '../base/base.ts'
import { type ImageName, keyOf } from './backlog.ts'
import type { Claim } from './claims.ts'
import type { Roster } from './roster.ts'

/**
 * - `look`: is it here, as far as is known without reading it all?
 * - `hold`: bring it, if it may be placed here, and say when it is.
 * - `promise`: is it here, looked at now, and will it stay for a while? Who asks is about to let its own copy go.
 * - `have`: who asks has it now, after it has answered `coming`.
 * - `ready`: of a push that has begun, by its home: blobs of it may be asked for next.
 * - `ahead`: of a blob, not an image: bring it, as it belongs to what is being pushed.
 * - `through`: of a blob or manifest that a record names: bring it, as who asks reaches nobody who has it.
 * - `pulled`: has a client of yours pulled it within that time? Who asks is about to delete its tag.
 */
export type CopyMode = 'look' | 'hold' | 'promise' | 'have' | 'ready' | 'ahead' | 'through' | 'pulled'

export interface CopyQuestion {
  mode: CopyMode
  images: ImageName[]
  /** How long the answer to `hold` may take, for which a client waits when that is longer than none; what `pulled` is about. */
  withinMs: number
}

/** `coming`: it is on its way there. `refused`: it is not to be there, or there is no room. */
export type CopyAnswer = 'held' | 'coming' | 'missing' | 'refused'

export interface CopyPeers {
  /** An answer for each image. Throws when the member does not answer. */
  ask(peer: string, question: CopyQuestion, options: { signal: AbortSignal }): Promise<CopyAnswer[]>
}

export interface SecuringOptions {
  self: string
  roster: Roster
  peers: CopyPeers
  clock: Clock
  onFailure(peer: string, error: unknown): void
  /** Aborts when the node stops. */
  signal: AbortSignal
}

/** How long a member may take to say that it is still on its way. */
const holdMs = 20_000
const maxRemembered = 20_000
/** Who said so longer before is asked again where something relies on it: it may have let its copy go, or collected it. */
const saidMs = 10_000
/** Whoever has been bringing it for longer keeps nobody else from being asked: it may say so for ever. */
const comingMs = 10 * 60_000
/** Before what nobody took is offered again, while a client waits. */
const againMs = 1_000

export class Securing {
  readonly #options: SecuringOptions
  /** Who has said that it holds an image, and when it last said so. */
  readonly #holders = new RecentMap<string, Map<string, number>>(maxRemembered)
  readonly #flights = new SingleFlight<void>()
  readonly #waiting = new Set<() => void>()
  /** Since when members, by image, have been bringing it, who are to say when they have it. */
  readonly #coming = new RecentMap<string, number>(maxRemembered)

  constructor(options: SecuringOptions) {
    this.#options = options
  }

  /** How many members beside this one have said that they hold it, and are in; with `sinceMs`, have said so since then. */
  heldBy(image: ImageName, sinceMs = Number.NEGATIVE_INFINITY): number {
    const { roster } = this.#options
    const holders = [...(this.#holders.get(keyOf(image)) ?? [])]
    return holders.filter(([peer, saidAtMs]) => saidAtMs >= sinceMs && roster.isIn(peer)).length
  }

  note(image: ImageName, peer: string, isHeld: boolean): void {
    const key = keyOf(image)
    const holders = this.#holders.get(key) ?? new Map<string, number>()
    if (isHeld) holders.set(peer, this.#options.clock.now())
    else holders.delete(peer)
    this.#holders.set(key, holders)
    if (isHeld) for (const look of this.#waiting) look()
  }

  /** A member says that it has by now what it was asked to hold. Returns false where it was not asked. */
  arrived(image: ImageName, peer: string): boolean {
    if (!this.#coming.delete(comingKey(image, peer))) return false
    this.note(image, peer, true)
    return true
  }

  /**
   * Asks until so many others hold it, or nobody is left to ask: of what is `isFresh`, whoever is connected and ranks near the
   * owners, else the owners alone. To whom it is on its way, is left to it. Those who ask for the same image at once share it.
   * Returns how many hold it, as they have just said.
   */
  async secure(
    claim: Claim,
    {
      others,
      isFresh,
      isUrgent = false,
      sinceMs = this.#options.clock.now() - saidMs,
      signal,
    }: { others: number; isFresh: boolean; isUrgent?: boolean; sinceMs?: number; signal: AbortSignal },
  ): Promise<number> {
    const { image } = claim
    // It is shared, so that it goes on when one of those who wait for it leaves.
    const asking = this.#flights.run(keyOf(image), async () => {
      const candidates = this.#candidates(claim, isFresh)
      const holders = this.#holders.get(keyOf(image))
      const isKnown = (peer: string): boolean => (holders?.get(peer) ?? Number.NEGATIVE_INFINITY) >= sinceMs
      const missing = others - candidates.filter(isKnown).length
      const queue = candidates.filter((peer) => !isKnown(peer))
      const one = async (): Promise<void> => {
        for (let peer = queue.shift(); peer !== undefined; peer = queue.shift()) {
          if ((await this.#hold(peer, image, isUrgent)) !== 'refused') return
        }
      }
      await Promise.all(Array.from({ length: Math.max(0, missing) }, one))
    })
    await unlessAborted(asking, signal)
    return this.heldBy(image, sinceMs)
  }

  /** Until so many others hold it, for `withinMs` at most. Returns how many do. */
  async wait(
    claim: Claim,
    { others, withinMs, signal }: { others: number; withinMs: number; signal: AbortSignal },
  ): Promise<number> {
    const { clock } = this.#options
    const sinceMs = clock.now() - saidMs
    const over = new AbortController()
    const until = AbortSignal.any([signal, over.signal])
    const enough = Promise.withResolvers<void>()
    const look = (): void => {
      if (this.heldBy(claim.image, sinceMs) >= others) enough.resolve()
    }
    this.#waiting.add(look)
    look()
    // Who waits no more does not end what others share, or what the backlog is to do anyway.
    const asking = async (): Promise<void> => {
      while (!until.aborted) {
        const others = claim.copies - 1
        await this.secure(claim, { others, isFresh: true, isUrgent: true, sinceMs, signal })
        // Nobody to wait for.
        if (this.#candidates(claim, true).length === 0) return
        await clock.sleep(againMs, { signal: until })
      }
    }
    try {
      await Promise.race([
        enough.promise,
        asking().catch(unless(until)),
        clock.sleep(withinMs, { signal: until }),
      ])
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      this.#waiting.delete(look)
      over.abort(new Error('it is not waited for any more'))
    }
    return this.heldBy(claim.image, sinceMs)
  }

  #candidates({ key, copies }: Claim, isFresh: boolean): string[] {
    const { self, roster } = this.#options
    const ranked = roster.owners.rank(key).filter((peer) => peer !== self)
    const near = isFresh ? ranked.filter((peer) => roster.isPresent(peer)) : ranked.slice(0, copies)
    return near.filter((peer) => roster.isPresent(peer)).slice(0, 2 * copies)
  }

  async #hold(peer: string, image: ImageName, isUrgent: boolean): Promise<'held' | 'coming' | 'refused'> {
    const { peers, clock, onFailure, signal } = this.#options
    try {
      const question: CopyQuestion = { mode: 'hold', images: [image], withinMs: isUrgent ? holdMs : 0 }
      // Before, as it may say that it has it while its answer is on its way.
      const sinceMs = this.#coming.get(comingKey(image, peer)) ?? clock.now()
      this.#coming.set(comingKey(image, peer), sinceMs)
      const [answer] = await peers.ask(peer, question, { signal })
      if (answer === 'coming') return clock.now() - sinceMs < comingMs ? answer : 'refused'
      this.#coming.delete(comingKey(image, peer))
      this.note(image, peer, answer === 'held')
      return answer === 'held' ? answer : 'refused'
    } catch (error) {
      signal.throwIfAborted()
      onFailure(peer, error)
      return 'refused'
    }
  }
}

function comingKey(image: ImageName, peer: string): string {
  return `${peer} ${keyOf(image)}`
}

function unless(signal: AbortSignal) {
  return (error: unknown): void => {
    if (!signal.aborted) throw error
  }
}
