/** Room on the store's disk: how much it may fill, when that is made free, and what that costs. */
import { type Clock, type Logger, logFailure } from '../../base/base.ts'
import type { Digest, Repository } from '../../oci/oci.ts'
import { type Tables, within } from '../database/database.ts'
import type { OwnedWork } from '../links/owned-work.ts'
import type { EvictionListener, EvictionPlan, Evictor } from './evictor.ts'
import type { Fill } from './fill.ts'
import type { LastUses } from './last-uses.ts'
import type { EvictionRules } from './residents.ts'

export interface RoomStatus {
  /** What the data directory takes, and may take; absent without a limit, or until it was counted. */
  limit?: {
    filledBytes: number
    maxBytes: number
    highBytes: number
    lowBytes: number
    /** Room was wanted last time, and nothing more may go. */
    isStuck: boolean
  }
}

/** Room as whoever composes the node sees it. */
export interface Room {
  status(): RoomStatus
  /** From now on what these let go may go, until the function that it returns is called. */
  follow(rules: EvictionRules): () => void
  /** What would go, and why; nothing goes. */
  plan(options?: { signal?: AbortSignal }): Promise<EvictionPlan>
  /** Takes this host's copy of a blob; `undefined` for one that is in use, or not here. */
  evict(digest: Digest): Promise<number | undefined>
  /** How long ago a blob was read last, while the node ran; `undefined` for one that never was. */
  unusedMs(digest: Digest): number | undefined
  /** Manifests that refer to a blob, in whichever repository. */
  referrersOf(digest: Digest): AsyncIterable<{ repository: Repository; manifest: Digest }>
  /** Calls `listener` with each blob that went. Returns the unsubscriber. */
  onEvicted(listener: EvictionListener): () => void
}

/** Above the high mark room is made until the low one is reached, as parts of the limit. */
const highMark = 0.95
const lowMark = 0.9
/** Where others fill the disk, it is looked at this often; as often last uses are written. */
const everyMs = 60_000
const leastEveryMs = 1_000

export interface RoomKeeperOptions {
  tables: Pick<Tables, 'references'>
  evictor: Evictor
  uses: LastUses
  /** Absent where all of the disk but its reserve may be filled. */
  fill?: Fill | undefined
  reserveBytes: number
  /** What may be taken now. */
  left(): Promise<number>
  work: OwnedWork
  clock: Clock
  logger: Logger
}

export class RoomKeeper implements Room {
  readonly #options: RoomKeeperOptions
  /** Aborts where it is not to be waited any longer. */
  #napping = new AbortController()
  #isRunning = false
  #nextKeepMs = Number.NEGATIVE_INFINITY

  constructor(options: RoomKeeperOptions) {
    this.#options = options
  }

  /** As `RoomMaker`. */
  async make(missing: () => Promise<number>): Promise<void> {
    const besidesBytes = this.#besidesBytes()
    await this.#options.evictor.makeRoom(missing, { besidesBytes, allOrNothing: true })
  }

  /** Something is about to be written. */
  noteTaken(): void {
    const limit = this.status().limit
    if (limit === undefined || limit.filledBytes <= limit.highBytes) return
    if (this.#options.clock.now() >= this.#nextKeepMs) this.#napping.abort()
  }

  status(): RoomStatus {
    const { fill, evictor } = this.#options
    if (fill === undefined || fill.filledBytes === 0) return {}
    const { maxBytes, filledBytes } = fill
    return {
      limit: {
        filledBytes,
        maxBytes,
        highBytes: Math.floor(highMark * maxBytes),
        lowBytes: Math.floor(lowMark * maxBytes),
        isStuck: evictor.isStuck,
      },
    }
  }

  follow(rules: EvictionRules): () => void {
    const { evictor, work, logger } = this.#options
    evictor.rules = rules
    this.#napping.abort()
    if (!this.#isRunning) {
      this.#isRunning = true
      work
        .run(undefined, (signal) => this.#run(signal))
        .catch((error: unknown) => logFailure(logger, error, 'the disk is not kept below its mark any more'))
    }
    return () => {
      if (evictor.rules === rules) evictor.rules = undefined
    }
  }

  async plan({ signal }: { signal?: AbortSignal } = {}): Promise<EvictionPlan> {
    return await this.#options.work.run(signal, (stopping) => this.#options.evictor.plan(stopping))
  }

  async evict(digest: Digest): Promise<number | undefined> {
    return await this.#options.evictor.remove(digest)
  }

  unusedMs(digest: Digest): number | undefined {
    return this.#options.uses.ageMs(digest)
  }

  async *referrersOf(digest: Digest): AsyncGenerator<{ repository: Repository; manifest: Digest }> {
    for await (const key of this.#options.tables.references.keys(within(digest))) {
      const [, repository, manifest] = key.split('\0')
      yield { repository: repository as Repository, manifest: manifest as Digest }
    }
  }

  onEvicted(listener: EvictionListener): () => void {
    const { listeners } = this.#options.evictor
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  /** Keeps the disk below the mark, and notes last uses, until `signal` aborts. */
  async #run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    while (!signal.aborted) {
      const napping = new AbortController()
      this.#napping = napping
      this.#nextKeepMs = clock.now() + leastEveryMs
      try {
        await this.#keep()
      } catch (error) {
        if (!signal.aborted) logFailure(logger, error, 'the disk could not be kept below its mark')
      }
      try {
        await clock.sleep(everyMs, { signal: AbortSignal.any([signal, napping.signal]) })
      } catch (error) {
        if (!napping.signal.aborted) throw error
      }
    }
  }

  async #keep(): Promise<void> {
    const { uses, evictor, fill, left } = this.#options
    await uses.flush()
    await fill?.look()
    const { limit } = this.status()
    const missing = async (): Promise<number> => {
      const beyondMark = limit === undefined || fill === undefined ? 0 : fill.filledBytes - limit.highBytes
      return Math.max(beyondMark, -(await left()))
    }
    await evictor.makeRoom(missing, { besidesBytes: this.#besidesBytes(), allOrNothing: false })
  }

  #besidesBytes(): number {
    const { fill, reserveBytes } = this.#options
    return fill === undefined ? reserveBytes / 4 : (highMark - lowMark) * fill.maxBytes
  }
}
