/**
 * What this node says when it is asked for copies, and when it may let its own go: once all owners have said that theirs is
 * there and stays. Who is about to let one go says no itself, so of two that ask each other at once both keep theirs.
 */
import { type Clock, Keyed, RecentMap, Semaphore, SingleFlight, unlessAborted } from '../base/base.ts'
import { AskedImages, maxHoldMs } from './asked-images.ts'
import { type ImageName, keyOf } from './backlog.ts'
import type { Claim, Claims } from './claims.ts'
import type { Holdings } from './holdings.ts'
import type { Image } from './image.ts'
import type { Roster } from './roster.ts'
import type { CopyAnswer, CopyPeers, CopyQuestion } from './securing.ts'

export interface PromisesOptions {
  self: string
  roster: Roster
  claims: Pick<Claims, 'of' | 'ofUntagged' | 'all'>
  holdings: Pick<Holdings, 'look' | 'isWhole' | 'bring'>
  peers: CopyPeers
  /** What is here of the image survives a power cut when it resolves. */
  makeDurable(image: Image): Promise<void>
  /** Has the record come that says what the image is. */
  learn(image: ImageName, options: { signal: AbortSignal }): Promise<void>
  /** Those who bring what a member wants placed here. */
  turns: Semaphore
  /** A member has what it was asked to hold. */
  onArrived(image: ImageName, peer: string): boolean
  onFailure(peer: string, error: unknown): void
  /** A push begins at a member, and this node is to own it. */
  onReady(home: ImageName, peer: string): CopyAnswer
  /** A member pushes the blob, and this node is to own it. */
  onAhead(blob: ImageName, peer: string): CopyAnswer
  /** A member wants it, and reaches nobody who has it. */
  onThrough(
    part: ImageName,
    peer: string,
    options: { withinMs: number; signal: AbortSignal },
  ): Promise<CopyAnswer>
  /** Whether a client of this node pulled it; absent for one that cannot say. */
  wasPulled?(image: ImageName, withinMs: number): Promise<boolean>
  clock: Clock
  signal: AbortSignal
}

/** Longer than it takes to let a copy go after the last owner has answered. */
const promiseMs = 10 * 60_000
const letGoMs = 60_000
/** What has come back, or has just lost its owner, is not let go at once. */
const settledMs = 10 * 60_000
/** What owners said of a copy that would go is asked again after that; that they lack it, later. */
const saidMs = 20_000
const deniedMs = 10 * 60_000
/** Whoever did not answer is not asked before that. */
const silentMs = 60_000
const maxSilent = 1_000
/** Copies about which owners are asked at the same time. */
const maxAsking = 4
/** A promise that finds no room here is not given. */
const maxPromises = 100_000

export class Promises {
  readonly #options: PromisesOptions
  readonly #promised = new RecentMap<string, number>(maxPromises)
  readonly #leaving = new RecentMap<string, number>(maxPromises)
  readonly #said = new RecentMap<string, { may: boolean; atMs: number }>(maxPromises)
  readonly #silent = new RecentMap<string, number>(maxSilent)
  readonly #flights = new SingleFlight<boolean>()
  readonly #leavers = new Keyed()
  readonly #asking = new Semaphore(maxAsking)
  readonly #bringing: AskedImages

  constructor(options: PromisesOptions) {
    this.#options = options
    this.#bringing = new AskedImages(options)
  }

  /** An answer for each image, to the member that asks. */
  async answer(
    peer: string,
    question: CopyQuestion,
    { signal }: { signal: AbortSignal },
  ): Promise<CopyAnswer[]> {
    const answers: CopyAnswer[] = []
    for (const image of question.images) answers.push(await this.#answer(peer, image, question, signal))
    return answers
  }

  /**
   * Whether this node may let the image go, within half a minute from now. Never what it owns, what it has promised to keep, or
   * what changed owners lately. Members are asked while there is some of the budget left; what that takes is taken off.
   */
  async mayLetGo(
    image: ImageName,
    { budget, signal }: { budget: { leftMs: number }; signal: AbortSignal },
  ): Promise<boolean> {
    const { roster, claims, clock, signal: closing } = this.#options
    const all = await claims.all(image)
    if (all.length === 0 || roster.isFrozen || clock.now() - roster.changedMs < settledMs) return false
    // What is a part of several images has the owners of each: when one is deleted those of the others have to have it.
    const keepersOf = all.map((claim) => this.#keepersOf(claim))
    const keepers = [...new Set(keepersOf.flat())]
    const key = keyOf(image)
    if (keepersOf.some(({ length }) => length === 0) || this.#isWithin(this.#promised, key, promiseMs))
      return false
    const beganMs = clock.now()
    const said = this.#said.get(key)
    if (said !== undefined && beganMs - said.atMs < (said.may ? saidMs : deniedMs)) return said.may
    const isMute = (peer: string): boolean => this.#isWithin(this.#silent, peer, silentMs)
    if (budget.leftMs <= 0 || keepers.some(isMute)) return false
    // One that fails would take back what another's yes rests on.
    const asking = this.#flights.run(key, () =>
      this.#asking.run(() => this.#askToLetGo(keepers, image, closing)),
    )
    try {
      return await unlessAborted(asking, signal)
    } finally {
      budget.leftMs -= clock.now() - beganMs
    }
  }

  async #askToLetGo(keepers: string[], image: ImageName, signal: AbortSignal): Promise<boolean> {
    const key = keyOf(image)
    return await this.#leave(key, false, async () => {
      const said = await Promise.all(keepers.map((peer) => this.#asked(peer, image, signal)))
      const mayGo = said.every((answer) => answer === 'held')
      if (!said.includes(undefined)) this.#said.set(key, { may: mayGo, atMs: this.#options.clock.now() })
      return { result: mayGo, mayGo }
    })
  }

  /** While the others are asked this node promises nobody to keep it, and not for a while after it may go; `no` where it has. */
  async #leave<T>(key: string, no: T, ask: () => Promise<{ result: T; mayGo: boolean }>): Promise<T> {
    const { clock } = this.#options
    // In turn: one that asks in vain takes back nothing that another's yes rests on.
    return await this.#leavers.run(key, async () => {
      // Now, as it may have been promised while others were asked.
      if (this.#isWithin(this.#promised, key, promiseMs)) return no
      const before = this.#leaving.get(key)
      this.#leaving.set(key, clock.now())
      const { result, mayGo } = await ask()
      if (mayGo) this.#leaving.set(key, clock.now())
      else if (before === undefined) this.#leaving.delete(key)
      else this.#leaving.set(key, before)
      return result
    })
  }

  /**
   * Which of the members keep theirs when this node's goes, within a minute from now, whoever owns it: an operator wants it gone.
   * Nobody where this node has promised to keep its own.
   */
  async askToStay(
    image: ImageName,
    peers: readonly string[],
    { signal }: { signal: AbortSignal },
  ): Promise<string[]> {
    return await this.#leave(keyOf(image), [], async () => {
      const said = await Promise.all(peers.map((peer) => this.#asked(peer, image, signal)))
      const staying = peers.filter((_, at) => said[at] === 'held')
      return { result: staying, mayGo: staying.length > 0 }
    })
  }

  /** Those who have to have it before this node lets it go; nobody where this node is one of them. */
  #keepersOf({ key, copies, author }: Claim): string[] {
    const { self, roster } = this.#options
    // Without copies elsewhere it belongs to where it was pushed.
    const owners = copies === 1 ? [author] : roster.owners.rank(key).slice(0, copies)
    return owners.includes(self) || owners.length < copies ? [] : owners
  }

  async #asked(peer: string, image: ImageName, signal: AbortSignal): Promise<CopyAnswer | undefined> {
    try {
      const question: CopyQuestion = { mode: 'promise', images: [image], withinMs: 0 }
      const [answer] = await this.#options.peers.ask(peer, question, { signal })
      return answer
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof Error)) throw error
      this.#silent.set(peer, this.#options.clock.now())
      return undefined
    }
  }

  async #answer(
    peer: string,
    name: ImageName,
    { mode, withinMs }: CopyQuestion,
    signal: AbortSignal,
  ): Promise<CopyAnswer> {
    const { claims, holdings, makeDurable, learn, onArrived, onReady, onAhead, onThrough, wasPulled } =
      this.#options
    if (mode === 'have') return onArrived(name, peer) ? 'held' : 'missing'
    if (mode === 'ready') return onReady(name, peer)
    if (mode === 'ahead') return onAhead(name, peer)
    if (mode === 'through')
      return await onThrough(name, peer, { withinMs: Math.min(withinMs, maxHoldMs), signal })
    if (mode === 'pulled') {
      if (wasPulled === undefined) return 'refused'
      return (await wasPulled(name, withinMs)) ? 'held' : 'missing'
    }
    const key = keyOf(name)
    if (this.#isWithin(this.#leaving, key, letGoMs)) return 'missing'
    let claim = (await claims.of(name)) ?? (await claims.ofUntagged(name))
    if (mode === 'look')
      return claim !== undefined && (await holdings.isWhole(claim.image, { signal })) ? 'held' : 'missing'
    if (mode === 'hold' && claim === undefined) {
      await learn(name, { signal })
      claim = (await claims.of(name)) ?? (await claims.ofUntagged(name))
    }
    // What was deleted is not asked for by anybody who has heard of that.
    if (claim === undefined) return 'refused'
    if (await holdings.look(claim.image, { signal })) {
      // Before the promise: whoever may let it go asks once more whether there is one.
      if (mode === 'promise') this.#promised.set(key, this.#options.clock.now())
      await makeDurable(claim.image)
      return this.#isWithin(this.#leaving, key, letGoMs) ? 'missing' : 'held'
    }
    if (mode === 'promise') return 'missing'
    return this.#mayBeHere(claim)
      ? await this.#bringing.bring(claim.image, { peer, withinMs, signal })
      : 'refused'
  }

  /** Near the owners as this node sees them, or as one does who sees fewer members. */
  #mayBeHere({ key, copies }: Claim): boolean {
    const { self, roster } = this.#options
    const ranked = roster.owners.rank(key)
    const isNear = (peers: string[]): boolean => {
      const at = peers.indexOf(self)
      return at >= 0 && at < 2 * copies
    }
    return isNear(ranked) || isNear(ranked.filter((peer) => roster.isPresent(peer)))
  }

  #isWithin(times: Map<string, number>, key: string, ms: number): boolean {
    const atMs = times.get(key)
    return atMs !== undefined && this.#options.clock.now() - atMs < ms
  }
}
