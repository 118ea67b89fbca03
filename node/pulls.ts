/**
 * When clients of this node last pulled which manifest, for retention: noted in memory, written in batches.
 *
 * By a time of its own, which goes on while the node runs and never jumps: a clock that is set makes no pull look old. Where
 * earlier pulls are not known, all that there is counts as pulled then.
 */
import { Background, type Clock, type Logger, logFailure } from '../src/base/base.ts'
import type { Digest, Repository } from '../src/oci/oci.ts'
import type { ImageName } from '../src/placement/placement.ts'
import type { FinishedRequest, RequestListener } from './requests/request-tracer.ts'

type Write = { type: 'put'; key: string; value: number } | { type: 'del'; key: string }

export interface PullTable {
  get(key: string): Promise<number | undefined>
  batch(writes: Write[]): Promise<void>
  keys(): AsyncIterable<string>
}

export interface PullsOptions {
  table: PullTable
  /** There may have been pulls of which the table does not tell. */
  missesEarlier: boolean
  /** Whether the manifest is named still. */
  isLive(repository: Repository, digest: Digest): Promise<boolean>
  /** One that measures. */
  clock: Clock
  logger: Logger
}

export interface Pulls extends AsyncDisposable {
  readonly listener: RequestListener
  note(repository: Repository, digest: Digest): void
  /** Whether a client of this node pulled it within that time, as far as nobody can say that none did. */
  wasPulled(image: ImageName, withinMs: number): Promise<boolean>
  flush(): Promise<void>
  /** Forgets those of what there is not any more. */
  prune(signal: AbortSignal): Promise<void>
}

/** Those of a manifest have an `@`. */
const nowKey = 'now'
const sinceKey = 'since'
const flushEveryMs = 60_000
const pruneEveryMs = 24 * 3_600_000
/** How far the written time may be behind while nothing is pulled. */
const idleMs = 3_600_000
const batchLength = 4096
/** Beyond, they are not told apart until they can be written. */
const maxPending = 16 * batchLength
const prunedAtOnce = 256

export async function openPulls({
  table,
  missesEarlier,
  isLive,
  clock,
  logger,
}: PullsOptions): Promise<Pulls> {
  const savedMs = await table.get(nowKey)
  const offsetMs = (savedMs ?? 0) - clock.now()
  const now = (): number => clock.now() + offsetMs
  let writtenMs = savedMs
  let sinceMs = missesEarlier ? now() : await table.get(sinceKey)
  let isSinceNew = missesEarlier
  const pending = new Map<string, number>()
  let flushing: Promise<void> | undefined

  function note(repository: Repository, digest: Digest): void {
    if (pending.size >= maxPending) {
      pending.clear()
      sinceMs = now()
      isSinceNew = true
    }
    const before = pending.size
    pending.set(keyOf(repository, digest), now())
    if (pending.size > before && pending.size % batchLength === 0) work.start('pulls', () => flush())
  }

  function flush(): Promise<void> {
    flushing ??= write().finally(() => {
      flushing = undefined
    })
    return flushing
  }

  async function write(): Promise<void> {
    const atMs = now()
    if (pending.size === 0 && !isSinceNew && writtenMs !== undefined && atMs - writtenMs < idleMs) return
    const taken = [...pending]
    const takenSinceMs = sinceMs
    const since: Write[] =
      takenSinceMs === undefined ? [] : [{ type: 'put', key: sinceKey, value: takenSinceMs }]
    await table.batch([
      ...taken.map(([key, value]): Write => ({ type: 'put', key, value })),
      ...since,
      { type: 'put', key: nowKey, value: atMs },
    ])
    writtenMs = atMs
    if (sinceMs === takenSinceMs) isSinceNew = false
    for (const [key, value] of taken) if (pending.get(key) === value) pending.delete(key)
  }

  async function prune(signal: AbortSignal): Promise<void> {
    await flush()
    let gone: Write[] = []
    for await (const key of table.keys()) {
      signal.throwIfAborted()
      const [repository, digest] = key.split('@')
      if (digest === undefined || (await isLive(repository as Repository, digest as Digest))) continue
      gone.push({ type: 'del', key })
      if (gone.length < prunedAtOnce) continue
      await table.batch(gone)
      gone = []
    }
    if (gone.length > 0) await table.batch(gone)
  }

  const work = new Background('the node', logger)
  const timing = { clock, random: Math.random }
  work.every('noting pulls', flushEveryMs, timing, () => flush())
  work.every('forgetting pulls', pruneEveryMs, timing, (signal) => prune(signal))

  return {
    listener({ pull }: FinishedRequest) {
      if (pull?.kind === 'manifest') note(pull.repository as Repository, pull.digest as Digest)
    },
    note,
    async wasPulled({ repository, digest }, withinMs) {
      const key = keyOf(repository, digest)
      const noted = pending.get(key) ?? (await table.get(key))
      const pulledMs = Math.max(noted ?? Number.NEGATIVE_INFINITY, sinceMs ?? Number.NEGATIVE_INFINITY)
      return now() - pulledMs <= withinMs
    },
    flush,
    prune,
    async [Symbol.asyncDispose]() {
      await work[Symbol.asyncDispose]()
      try {
        await flush()
      } catch (error) {
        logFailure(logger, error, 'what clients pulled in the last minute could not be kept')
      }
    },
  }
}

function keyOf(repository: Repository, digest: Digest): string {
  return `${repository}@${digest}`
}
