/** Makes room on the disk: takes what may go, in its turn, beside readers and pushes. */
import { type Clock, type Logger, type Metrics, Semaphore } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { unlessFull } from '../blobs/sum-table.ts'
import type { OwnedWork } from '../links/owned-work.ts'
import type { Partials } from '../partials/partial.ts'
import {
  asCandidate,
  byTurn,
  type Candidate,
  type EvictionReason,
  evictionReasons,
  planEviction,
} from './eviction-order.ts'
import { type EvictionRules, Residents, type ResidentsOptions } from './residents.ts'

export interface EvictorOptions extends ResidentsOptions {
  partials: Pick<Partials, 'list' | 'drop'>
  work: OwnedWork
  clock: Clock
  logger: Logger
  metrics: Metrics
}

export interface EvictionPlan {
  /** In the order in which they would go; of many, the first. */
  candidates: Candidate[]
  /** Of all that may go. */
  totals: Record<EvictionReason, { blobs: number; bytes: number }>
  /** Of the clock by which they were last used. */
  nowMs: number
}

export type EvictionListener = (digest: Digest, reason: EvictionReason | 'asked') => void

/** As many as are remembered of what may go. */
const mostCandidates = 20_000
/** What was found is gone by until then. */
const planForMs = 10 * 60_000
/** Walking the store takes a fifth of the time at most. */
const pauseFactor = 4
/** Whoever wants room in vain does not have it walked again each time. */
const leastVainMs = 5_000
const vainFactor = 20

export class Evictor {
  readonly listeners = new Set<EvictionListener>()
  rules: EvictionRules | undefined
  /** Room was wanted last time, and could not be made. */
  isStuck = false
  readonly #options: EvictorOptions
  readonly #turn = new Semaphore(1)
  /** Of the last look, in their turn. */
  #waiting: Candidate[] = []
  #lookedMs = Number.NEGATIVE_INFINITY
  #tookMs = 0
  #vainUntilMs = Number.NEGATIVE_INFINITY

  constructor(options: EvictorOptions) {
    this.#options = options
  }

  /**
   * Evicts until nothing is missing, and `besidesBytes` more so that the next one need not ask. Whoever asks meanwhile waits.
   * Where it is `allOrNothing`, nothing goes for what would not fit then either.
   */
  async makeRoom(
    missing: () => Promise<number>,
    { besidesBytes, allOrNothing }: { besidesBytes: number; allOrNothing: boolean },
  ): Promise<void> {
    await this.#turn.run(async () => {
      const shortBytes = await missing()
      this.isStuck = shortBytes > 0
      if (shortBytes <= 0 || this.rules?.isWhole() !== true) return
      const wantedBytes = shortBytes + besidesBytes
      let freedBytes = 0
      // Twice: what the first look found may be in use by then.
      for (let attempt = 0; attempt < 2 && freedBytes < shortBytes; attempt++) {
        await this.#lookFor(wantedBytes - freedBytes, shortBytes - freedBytes)
        if (allOrNothing && this.#lacks(shortBytes - freedBytes)) break
        freedBytes += await this.#evict(wantedBytes - freedBytes)
      }
      this.isStuck = freedBytes < shortBytes
      this.#options.logger.debug({ freedBytes, wantedBytes }, 'made room on the disk')
    })
  }

  /** What would go, and why; nothing goes. */
  async plan(signal: AbortSignal): Promise<EvictionPlan> {
    const totals = Object.fromEntries(
      evictionReasons.map((reason) => [reason, { blobs: 0, bytes: 0 }]),
    ) as EvictionPlan['totals']
    const nowMs = this.#options.context.leases.now()
    let candidates: Candidate[] = []
    if (this.rules?.isWhole() !== true) return { candidates, totals, nowMs }
    for await (const resident of new Residents(this.#options, this.rules).list(signal)) {
      const candidate = asCandidate(resident)
      if (candidate === undefined) continue
      candidates.push(candidate)
      totals[candidate.reason].blobs++
      totals[candidate.reason].bytes += candidate.bytes
      if (candidates.length > 2 * mostCandidates) candidates = firstOf(candidates)
    }
    return { candidates: firstOf(candidates), totals, nowMs }
  }

  /** Takes this host's copy of a blob, whatever the order says; `undefined` for one that is in use, or not here. */
  async remove(digest: Digest): Promise<number | undefined> {
    const { context, files, uses } = this.#options
    return await context.claims.remove(digest, async () => {
      const file = await files.stat(digest)
      return file === undefined || uses.isRead(digest)
        ? undefined
        : await this.#take(digest, file.size, 'asked')
    })
  }

  #lacks(bytes: number): boolean {
    return planEviction(this.#waiting, bytes).missingBytes > 0
  }

  /** Looks at the store unless what was seen last will do, or another look would be in vain. */
  async #lookFor(wantedBytes: number, shortBytes: number): Promise<void> {
    const { clock, work } = this.#options
    const beganMs = clock.now()
    if (beganMs - this.#lookedMs > planForMs) this.#waiting = []
    if (!this.#lacks(wantedBytes) || beganMs < this.#vainUntilMs) return
    await work.run(undefined, async (signal) => {
      const pauseMs = this.#lookedMs + pauseFactor * this.#tookMs - beganMs
      if (pauseMs > 0) await clock.sleep(pauseMs, { signal })
      const startMs = clock.now()
      const { candidates } = await this.plan(signal)
      this.#waiting = candidates
      this.#lookedMs = clock.now()
      this.#tookMs = this.#lookedMs - startMs
    })
    if (this.#lacks(shortBytes))
      this.#vainUntilMs = this.#lookedMs + Math.max(leastVainMs, vainFactor * this.#tookMs)
  }

  /** Of what the last look found. */
  async #evict(wantedBytes: number): Promise<number> {
    for (let freedBytes = 0; ; ) {
      const { go } = planEviction(this.#waiting, wantedBytes - freedBytes)
      if (go.length === 0) return freedBytes
      this.#waiting.splice(0, go.length)
      for (const candidate of go) freedBytes += (await this.#evictOne(candidate)) ?? 0
    }
  }

  async #evictOne(seen: Candidate): Promise<number | undefined> {
    const { context, partials } = this.#options
    const { digest, reason, bytes } = seen
    if (seen.isPart) {
      if (!(await partials.drop(digest))) return undefined
      this.#count(reason, bytes)
      return bytes
    }
    return await context.claims.remove(digest, async () => {
      if (this.rules?.isWhole() !== true) return undefined
      // Again, now that nobody can claim it: what was used or pushed since it was seen has another turn, or none.
      const resident = await new Residents(this.#options, this.rules).find(digest)
      const candidate = resident && asCandidate(resident)
      if (candidate?.reason !== reason || candidate.usedMs > seen.usedMs) return undefined
      return await this.#take(digest, candidate.bytes, reason)
    })
  }

  /** The links stay: they say who may have it when it is here again. A crash leaves the file, or nothing. */
  async #take(digest: Digest, bytes: number, reason: EvictionReason | 'asked'): Promise<number> {
    const { context, files, uses } = this.#options
    await files.remove(digest)
    // Sums that stay are right for whoever brings the blob again.
    await unlessFull(() => context.tables.sums.del(digest))
    await uses.forget(digest)
    this.#count(reason, bytes)
    for (const listener of this.listeners) listener(digest, reason)
    return bytes
  }

  #count(reason: EvictionReason | 'asked', bytes: number): void {
    this.#options.metrics.count('shoal_evicted_total', { reason })
    this.#options.metrics.count('shoal_evicted_bytes_total', { reason }, bytes)
  }
}

function firstOf(candidates: Candidate[]): Candidate[] {
  return candidates.sort(byTurn).slice(0, mostCandidates)
}
