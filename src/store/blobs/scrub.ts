/**
 * Reads everything again within a set time, so that rot is found while other copies are left. A blob's turn follows from its
 * digest, which spreads the work evenly over the time and makes the first hex digits the position to go on from after a restart.
 */
import { type Clock, type Logger, logFailure, type Metrics } from '../../base/base.ts'
import { type Digest, hexOf } from '../../oci/oci.ts'
import { shardRanges } from '../database/database.ts'
import type { BlobFiles } from '../files/blob-files.ts'
import type { TableContext } from '../links/link-table.ts'
import { type SumTable, unlessFull } from './sum-table.ts'
import type { Unreadable } from './unreadable.ts'
import type { Verifier } from './verifier.ts'

export interface ScrubOptions {
  context: TableContext
  files: BlobFiles
  sums: SumTable
  verifier: Verifier
  unreadable: Pick<Unreadable, 'note'>
  clock: Clock
  /** Whether clients read or write now. */
  isBusy(): boolean
  logger: Logger
  metrics: Metrics
}

export interface ScrubRound {
  startedMs: number
  /** The hash up to which all is done. */
  position: string
  blobs: number
  manifests: number
  bytes: number
  /** What was wrong. */
  corrupt: number
  /** What could not be read for reasons that say nothing about its bytes. */
  unread: number
}

/** As it is kept. */
export interface ScrubState {
  round: ScrubRound
  /** The last one that came to its end. */
  last?: ScrubRound & { endedMs: number }
}

export interface ScrubStatus extends ScrubState {
  /** How much of the round is done, from 0 to 1. */
  done: number
}

const shards = Array.from({ length: 256 }, (_, shard) => shard.toString(16).padStart(2, '0'))
const digits = 8
/** A quarter of a processor and of the disk at most, whatever is overdue. */
const restFactor = 3
const leastRestMs = 10
/** A disk that is never idle is scrubbed all the same, 8 MiB a second. */
const longestWaitMs = 1_000
const lookMs = 100
/** A timer cannot wait for a month. */
const longestSleepMs = 3_600_000

export class Scrub {
  readonly #options: ScrubOptions
  #state: ScrubState | undefined

  constructor(options: ScrubOptions) {
    this.#options = options
    options.metrics.gauge(
      'shoal_scrub_done_ratio',
      () => this.#state && fractionOf(this.#state.round.position),
    )
    options.metrics.gauge('shoal_scrub_completed_timestamp_seconds', () =>
      this.#state?.last === undefined ? undefined : this.#state.last.endedMs / 1000,
    )
  }

  async status(): Promise<ScrubStatus> {
    const { round, last } = await this.#load()
    return { round, done: fractionOf(round.position), ...(last === undefined ? {} : { last }) }
  }

  /** Goes on, round after round of `periodMs`, until the signal aborts; then it throws its reason. */
  async run({ periodMs, signal }: { periodMs: number; signal: AbortSignal }): Promise<never> {
    const { clock } = this.#options
    for (;;) {
      const { round } = await this.#load()
      // A clock that was ahead once must not put it off for years.
      if (round.startedMs > clock.now()) round.startedMs = clock.now()
      await this.#finish(round, periodMs, signal)
      const endedMs = clock.now()
      this.#options.logger.info({ ...round, endedMs }, 'everything was read and hashed again')
      await this.#save({ round: newRound(endedMs), last: { ...round, endedMs } })
    }
  }

  async #finish(round: ScrubRound, periodMs: number, signal: AbortSignal): Promise<void> {
    const { context } = this.#options
    const until = (position: string): Promise<void> =>
      this.#sleepUntil(round.startedMs + fractionOf(position) * periodMs, signal)
    if (round.position === '')
      await this.#orUnread(round, signal, () => context.database.check({ signal, pace: this.#pace(signal) }))
    for (const shard of shards) {
      const end = `${shard}g`
      if (end <= round.position) continue
      for (const digest of await this.#options.files.listShard(shard)) {
        const hex = hexOf(digest)
        if (hex <= round.position) continue
        await until(hex)
        await this.#checkBlob(digest, round, signal)
        round.position = hex
        await this.#save()
      }
      await until(end)
      await this.#orUnread(round, signal, () => this.#checkManifests(shard, round, signal))
      await this.#orUnread(round, signal, () => this.#dropUnusedSums(shard, signal))
      round.position = end
      await this.#save()
    }
  }

  async #checkBlob(digest: Digest, round: ScrubRound, signal: AbortSignal): Promise<void> {
    const { verifier, metrics } = this.#options
    await this.#giveWay(signal)
    await this.#orUnread(round, signal, async () => {
      const pace = this.#pace(signal)
      const checked = await verifier.checkBlob(digest, { signal, pace }).catch((error: unknown) => {
        this.#options.unreadable.note(digest, error)
        throw error
      })
      if (checked === undefined) return
      round.blobs++
      round.bytes += checked.bytes
      if (checked.path !== undefined) round.corrupt++
      metrics.count('shoal_scrub_read_bytes_total', {}, checked.bytes)
    })
  }

  async #orUnread(round: ScrubRound, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      signal.throwIfAborted()
      // One line for each round: what ails one file ails most.
      if (round.unread++ === 0)
        logFailure(this.#options.logger, error, 'what is stored could not be read again')
    }
  }

  async #checkManifests(shard: string, round: ScrubRound, signal: AbortSignal): Promise<void> {
    const { context, verifier, metrics } = this.#options
    for (const range of shardRanges(shard)) {
      for await (const [digest, bytes] of context.tables.manifests.iterator(range)) {
        signal.throwIfAborted()
        round.manifests++
        round.bytes += bytes.length
        metrics.count('shoal_scrub_read_bytes_total', {}, bytes.length)
        if ((await verifier.checkManifest(digest as Digest, bytes)) !== undefined) round.corrupt++
        await this.#options.clock.sleep(0, { signal })
      }
    }
  }

  /** A crash, or a version that does not know of them, may have left those of blobs that are gone. */
  async #dropUnusedSums(shard: string, signal: AbortSignal): Promise<void> {
    const { context, files, sums } = this.#options
    for await (const digest of sums.list(shard)) {
      signal.throwIfAborted()
      if ((await files.stat(digest)) !== undefined) continue
      await context.claims.remove(digest, async () => {
        // Whoever publishes a blob claims it before its sums are written.
        if ((await files.stat(digest)) === undefined) await unlessFull(() => sums.remove(digest))
      })
    }
  }

  async #sleepUntil(dueMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    while (clock.now() < dueMs) {
      signal.throwIfAborted()
      await clock.sleep(Math.min(dueMs - clock.now(), longestSleepMs), { signal })
    }
  }

  /** Rests after each part for some times what it took, and until clients are done. */
  #pace(signal: AbortSignal): () => Promise<void> {
    const { clock } = this.#options
    let sinceMs = clock.now()
    return async () => {
      await clock.sleep(Math.max(leastRestMs, restFactor * (clock.now() - sinceMs)), { signal })
      await this.#giveWay(signal)
      sinceMs = clock.now()
    }
  }

  async #giveWay(signal: AbortSignal): Promise<void> {
    const { clock, isBusy } = this.#options
    for (let waitedMs = 0; isBusy() && waitedMs < longestWaitMs; waitedMs += lookMs)
      await clock.sleep(lookMs, { signal })
  }

  async #load(): Promise<ScrubState> {
    const { context, clock } = this.#options
    this.#state ??= (await context.tables.scrub.get('state')) ?? { round: newRound(clock.now()) }
    return this.#state
  }

  /** Where it stands; what a crash takes of it is read once more. */
  async #save(state = this.#state): Promise<void> {
    if (state === undefined) return
    this.#state = state
    await unlessFull(() => this.#options.context.tables.scrub.put('state', state))
  }
}

function newRound(startedMs: number): ScrubRound {
  return { startedMs, position: '', blobs: 0, manifests: 0, bytes: 0, corrupt: 0, unread: 0 }
}

/** Where a hash stands among all; `00g` is behind all that begin with `00`. */
function fractionOf(position: string): number {
  if (position.endsWith('g')) return (Number.parseInt(position.slice(0, 2), 16) + 1) / shards.length
  return Number.parseInt(position.slice(0, digits).padEnd(digits, '0'), 16) / 16 ** digits
}
