/** Copies of what was pushed, at the members that own it: who is in is watched, what is short is found, and worked off one by one. */
import { Background, logFailure, untilOrAfter } from '../base/base.ts'
import type { Names } from '../records/records.ts'
import type { Debt, ImageName } from './backlog.ts'
import type { Offer } from './owners.ts'
import { Placer, type PlacerOptions } from './placer.ts'
import type { RosterRow } from './roster.ts'
import type { CopyAnswer, CopyQuestion } from './securing.ts'

export interface CopiesOptions extends Omit<PlacerOptions, 'names' | 'onDue' | 'signal'> {
  names: PlacerOptions['names'] & Pick<Names, 'onChange'>
  /** The members that are connected, as far as they have told what they offer. */
  present(): Offer[]
  /** Calls back when those may have changed. Returns the unsubscriber. */
  onPresent(listener: () => void): () => void
  /** Members that nobody waits for: banned, or forgotten. */
  isGone(peer: string): boolean
  /** Who is known, for the next start. */
  save(rows: RosterRow[]): Promise<void>
}

export interface Copies extends AsyncDisposable {
  secured: Placer['secured']
  handOver: Placer['handOver']
  ahead: Pick<Placer['ahead'], 'begin' | 'send' | 'take'>
  duty: Placer['duty']
  /** What this node says to a member that asks. */
  answer(peer: string, question: CopyQuestion, options: { signal: AbortSignal }): Promise<CopyAnswer[]>
  mayLetGo: Placer['promises']['mayLetGo']
  /** Which of those members keep their copies when an operator frees this node's, within a minute from now. */
  askToStay(image: ImageName, peers: readonly string[], options: { signal: AbortSignal }): Promise<string[]>
  /** What this node knows to be short of copies. */
  short(): Debt[]
  /** This node offers another room, or none. */
  offer(self: Offer): void
  /** Something of what is here may be gone. */
  forget(): void
}

/** Who has been away for too long is seen so late. */
const watchMs = 15_000
/** Those who come together are seen together. */
const gatherMs = 250
/** Those who join come close together. */
const settleMs = 2_000
/** Everything is looked at anew, part by part. */
const lookMs = 3_600_000
const afterFailureMs = 30_000

/** What runs the placer: told the time by its clock alone, so that a test can run it as well. */
export class CopiesRunner {
  readonly placer: Placer
  readonly #options: CopiesOptions
  #lookAtMs = Number.POSITIVE_INFINITY
  #lookAllAtMs: number
  #present = new Set<string>()

  constructor(options: CopiesOptions & Pick<PlacerOptions, 'onDue'>, signal: AbortSignal) {
    this.#options = options
    this.placer = new Placer({ ...options, signal })
    this.#lookAllAtMs = options.clock.now() + this.#jittered(30_000)
  }

  /** Looks who is there. Returns true when there may be something to do. */
  async watch(): Promise<boolean> {
    const { roster, clock, isGone, save, backlog } = this.#options
    const nowMs = clock.now()
    const present = this.#options.present()
    const hasJoined = present.some(({ peer }) => !this.#present.has(peer))
    this.#present = new Set(present.map(({ peer }) => peer))
    const isChanged = roster.see(present, nowMs, isGone)
    if (isChanged) {
      this.lookSoon()
      await save(roster.rows())
    }
    if (hasJoined) backlog.hurry(nowMs)
    return isChanged || hasJoined || this.dueMs <= nowMs
  }

  /** This node offers another room. */
  offer(self: Offer): void {
    if (this.#options.roster.offer(self, this.#options.clock.now())) this.lookSoon()
  }

  lookSoon(): void {
    this.#lookAtMs = Math.min(this.#lookAtMs, this.#options.clock.now() + settleMs)
  }

  /** When there is something to do, as things stand. */
  get dueMs(): number {
    const { backlog } = this.#options
    if (this.placer.hasNews) return Number.NEGATIVE_INFINITY
    return Math.min(this.#lookAtMs, this.#lookAllAtMs, backlog.dueMs)
  }

  /** What is due, but of the backlog one image: what was pushed meanwhile goes before the next. */
  async turn(): Promise<void> {
    const { backlog, clock } = this.#options
    const nowMs = clock.now()
    await this.placer.takeNews()
    if (nowMs >= this.#lookAllAtMs) {
      this.placer.forget()
      this.#lookAtMs = nowMs
      this.#lookAllAtMs = nowMs + this.#jittered(lookMs)
    }
    const isOwed = this.placer.missedNews || (backlog.isCut && backlog.size === 0)
    if (nowMs >= this.#lookAtMs || isOwed) {
      this.#lookAtMs = Number.POSITIVE_INFINITY
      await this.placer.look()
    }
    await this.placer.work()
  }

  #jittered(ms: number): number {
    return ms * (0.8 + 0.4 * this.#options.random())
  }
}

export function openCopies(options: CopiesOptions): Copies {
  const { names, roster, backlog, clock, logger, metrics } = options
  const background = new Background('the keeper of copies', logger)
  let wake = Promise.withResolvers<void>()
  let change = Promise.withResolvers<void>()
  const runner = new CopiesRunner({ ...options, onDue: () => wake.resolve() }, background.signal)
  const { placer } = runner

  /** What fails is the database or this program: it is tried again, and not at once. */
  const attempt = async (work: () => Promise<unknown>, signal: AbortSignal): Promise<void> => {
    try {
      await work()
    } catch (error) {
      signal.throwIfAborted()
      logFailure(logger, error, 'what has to be elsewhere could not be looked through')
      await clock.sleep(afterFailureMs, { signal })
    }
  }

  const unsubscribe = names.onChange((keys) => {
    placer.hear(keys)
    if (keys.some(({ kind }) => kind === 'policy')) runner.lookSoon()
    if (keys.some(({ kind }) => kind === 'policy' || kind === 'member')) change.resolve()
    wake.resolve()
  })
  const unwatch = options.onPresent(() => change.resolve())
  background.start('watch the members', async (signal) => {
    while (!signal.aborted) {
      change = Promise.withResolvers()
      await attempt(async () => {
        if (await runner.watch()) wake.resolve()
      }, signal)
      await untilOrAfter(change.promise, watchMs, { clock, signal })
      await clock.sleep(gatherMs, { signal })
    }
  })
  background.start('keep copies', async (signal) => {
    while (!signal.aborted) {
      wake = Promise.withResolvers()
      const waitMs = runner.dueMs - clock.now()
      if (waitMs > 0) await untilOrAfter(wake.promise, Math.min(waitMs, lookMs), { clock, signal })
      await attempt(() => runner.turn(), signal)
    }
  })
  metrics.gauge('shoal_copies_short_images', () => backlog.size)
  metrics.gauge('shoal_copies_short_seconds', () => oldestMs(backlog.list(), clock.now()) / 1000)
  metrics.gauge('shoal_copies_members', () => roster.members.length)

  return {
    secured: (...image) => placer.secured(...image),
    handOver: (...image) => placer.handOver(...image),
    duty: (image) => placer.duty(image),
    ahead: placer.ahead,
    answer: (...question) => placer.promises.answer(...question),
    mayLetGo: (...image) => placer.promises.mayLetGo(...image),
    askToStay: (...image) => placer.promises.askToStay(...image),
    short: () => backlog.list(),
    offer(self) {
      runner.offer(self)
      wake.resolve()
    },
    forget: () => placer.forget(),
    async [Symbol.asyncDispose]() {
      unsubscribe()
      unwatch()
      await background[Symbol.asyncDispose]()
    },
  }
}

/** How long the oldest has been short; 0 when none is. */
function oldestMs(debts: Debt[], nowMs: number): number {
  return debts.reduce((most, { sinceMs }) => Math.max(most, nowMs - sinceMs), 0)
}
