/**
 * Holds what the rules match: looks through all of it at the start, at every change of the rules and from time to time, and
 * at a tag or a referrer as soon as its record comes. What could not be had is tried again when a member joins, and in
 * between with growing pauses.
 */
import {
  type Clock,
  type Logger,
  logFailure,
  type Metrics,
  noMetrics,
  silentLogger,
  steadyClock,
} from '../base/base.ts'
import { type Digest, siblingOf } from '../oci/oci.ts'
import type { ChangedKey, Names } from '../records/records.ts'
import type { Library, Supply } from './image.ts'
import { type Candidate, ImageKeeper, nameOf } from './image-keeper.ts'
import { matchingTags } from './matching.ts'
import { type KeepRule, matchesRepository, matchesTag } from './rule.ts'
import { Schedule } from './schedule.ts'

export interface KeeperOptions {
  names: Pick<Names, 'findTag' | 'findManifest' | 'listTags' | 'listRepositories' | 'onChange'>
  rules: { list(): readonly KeepRule[]; onChange(listener: () => void): () => void }
  /** Whether this node is the one of its site that holds an image of a shared rule; default always. */
  isOurs?(rule: KeepRule, digest: Digest): boolean
  library: Library
  supply: Supply
  /** How fresh tags of mirrored repositories are to be; default as everything else. */
  refreshEveryMs?: number
  /** False while there is nobody to ask, who would only be waited for; default always true. */
  hasSupply?(): boolean
  /** Calls `listener` when a member joins, who may hold what is missing. Returns the unsubscriber. */
  onJoin(listener: () => void): () => void
  /** Calls `listener` when the answers of `isOurs` may have changed, and will for longer than a restart takes. */
  onShares?(listener: () => void): () => void
  clock?: Clock
  /** From 0 to 1; for jitter. */
  random?: () => number
  logger?: Logger
  metrics?: Metrics
}

export interface Keeper extends AsyncDisposable {
  /** Whether a blob belongs to a kept image that is not complete: what there is of it stays. */
  isWanted(digest: Digest): boolean
}

/** Images that are looked at or fetched at once; each fetches two blobs at once. */
const maxAtOnce = 2
/** More wait for the next look at everything. */
const maxQueued = 1_000
/** After a failure of the loop itself, which is a fault of this program or of its database. */
const afterFailureMs = 60_000
/** As long as a timer can be set. */
const maxSleepMs = 24 * 3_600_000

export function openKeeper(options: KeeperOptions): Keeper {
  return new KeeperLoop(options).start()
}

class KeeperLoop implements Keeper {
  readonly #options: KeeperOptions
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #closing = new AbortController()
  readonly #images: ImageKeeper
  readonly #schedule: Schedule
  readonly #queue = new Map<string, Candidate>()
  readonly #running = new Set<Promise<void>>()
  /** Work that waits for room to begin. */
  #waiting = 0
  readonly #subscriptions = new DisposableStack()
  #wake = Promise.withResolvers<void>()
  #work: Promise<void> = Promise.resolve()

  constructor(options: KeeperOptions) {
    const { clock = steadyClock, random = Math.random } = options
    const { logger = silentLogger, metrics = noMetrics } = options
    this.#options = options
    this.#clock = clock
    this.#logger = logger
    this.#schedule = new Schedule(random)
    this.#images = new ImageKeeper({
      isOurs: () => true,
      hasSupply: () => true,
      ...options,
      isAwaited: () => this.#waiting > 0 || this.#schedule.isSweepDue(clock.now()),
      clock,
      signal: this.#closing.signal,
      logger,
      metrics,
    })
    metrics.gauge('shoal_keep_rules', () => options.rules.list().length)
    metrics.gauge('shoal_keep_missing_images', () => this.#images.missing.size)
    metrics.gauge('shoal_keep_missing_seconds', () => this.#images.missing.oldestMs(clock.now()) / 1000)
  }

  start(): this {
    const { names, rules, onJoin, onShares } = this.#options
    if (onShares !== undefined) this.#subscriptions.defer(onShares(() => this.#sweepSoon()))
    this.#subscriptions.defer(names.onChange((keys) => this.#hear(keys)))
    this.#subscriptions.defer(rules.onChange(() => this.#sweepSoon()))
    this.#subscriptions.defer(onJoin(() => this.#retrySoon()))
    this.#work = this.#loop()
    return this
  }

  isWanted(digest: Digest): boolean {
    return this.#images.missing.wants(digest)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscriptions[Symbol.dispose]()
    this.#closing.abort(new Error('the node stops'))
    await this.#work
  }

  #hear(keys: ChangedKey[]): void {
    const rules = this.#options.rules.list()
    if (rules.length === 0) return
    for (const key of keys) {
      if (key.kind === 'tag') {
        const { repository, tag } = key
        const isBeside = siblingOf(tag) !== undefined
        const isNear = (rule: KeepRule): boolean =>
          matchesTag(rule, repository, tag) || (isBeside && matchesRepository(rule, repository))
        if (rules.some(isNear)) this.#enqueue({ repository, tag })
      } else if (key.kind === 'manifest' && !key.deleted) {
        const isNear = rules.some((rule) => matchesRepository(rule, key.repository))
        if (isNear) this.#enqueue({ repository: key.repository, digest: key.digest })
      }
    }
  }

  #enqueue(candidate: Candidate): void {
    if (this.#queue.size < maxQueued) this.#queue.set(nameOf(candidate), candidate)
    else this.#schedule.sweepSoon()
    this.#wake.resolve()
  }

  #sweepSoon(): void {
    this.#schedule.sweepSoon()
    this.#wake.resolve()
  }

  #retrySoon(): void {
    if (this.#images.missing.size === 0) return
    this.#schedule.retrySoon(this.#clock.now())
    this.#wake.resolve()
  }

  async #loop(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      try {
        this.#wake = Promise.withResolvers()
        if (this.#schedule.isSweepDue(this.#clock.now())) await this.#sweep()
        else if (this.#schedule.isRetryDue(this.#clock.now())) await this.#retry()
        await this.#drain()
        await this.#finish()
        if (this.#images.hasGivenWay) this.#schedule.roundMoved()
        this.#images.hasGivenWay = false
        this.#schedule.planRetry(this.#images.missing.size > 0, this.#clock.now())
        if (this.#queue.size === 0) await this.#pause(this.#schedule.nextMs - this.#clock.now())
      } catch (error) {
        if (signal.aborted) break
        logFailure(this.#logger, error, 'what is to be kept could not be looked through')
        await this.#pause(afterFailureMs)
      }
    }
    await Promise.allSettled(this.#running)
  }

  async #sweep(): Promise<void> {
    const startMs = this.#clock.now()
    this.#schedule.sweepBegins()
    this.#images.beginSweep()
    const { names, rules } = this.#options
    for await (const found of matchingTags(names, rules.list(), this.#closing)) {
      await this.#drain()
      await this.#start(() => this.#images.keepTag(found))
    }
    await this.#finish()
    this.#images.endSweep()
    const nowMs = this.#clock.now()
    const { refreshEveryMs } = this.#options
    this.#schedule.sweepEnded(nowMs - startMs, nowMs, this.#images.keepsMirrored ? refreshEveryMs : undefined)
  }

  async #retry(): Promise<void> {
    const { missing } = this.#images
    if (missing.isCut) return await this.#sweep()
    this.#schedule.retryBegins()
    for (const candidate of missing.list()) {
      await this.#drain()
      await this.#start(() => this.#images.keep(candidate))
    }
  }

  /** What records have named meanwhile goes first: it is what people wait for. */
  async #drain(): Promise<void> {
    for (const [name, candidate] of this.#queue) {
      this.#queue.delete(name)
      await this.#start(() => this.#images.keep(candidate))
    }
  }

  /** Resolves when it has begun, for which there has to be room. */
  async #start(work: () => Promise<void>): Promise<void> {
    const { signal } = this.#closing
    this.#waiting++
    try {
      while (this.#running.size >= maxAtOnce) await Promise.race(this.#running)
    } finally {
      this.#waiting--
    }
    signal.throwIfAborted()
    const task = work()
      .catch((error: unknown) => {
        if (!signal.aborted) logFailure(this.#logger, error, 'an image could not be kept')
      })
      .finally(() => this.#running.delete(task))
    this.#running.add(task)
  }

  /** Waits for what is under way; what comes meanwhile is begun as soon as there is room. */
  async #finish(): Promise<void> {
    while (this.#running.size > 0) {
      this.#wake = Promise.withResolvers()
      if (this.#queue.size === 0) await Promise.race([...this.#running, this.#wake.promise])
      await this.#drain()
    }
  }

  /** Until it is woken, the time is over, or the keeper closes. */
  async #pause(ms: number): Promise<void> {
    if (ms <= 0) return
    const over = new AbortController()
    const signal = AbortSignal.any([this.#closing.signal, over.signal])
    try {
      await Promise.race([this.#clock.sleep(Math.min(ms, maxSleepMs), { signal }), this.#wake.promise])
    } catch (error) {
      if (!this.#closing.signal.aborted) throw error
    } finally {
      over.abort(new Error('woken'))
    }
  }
}
