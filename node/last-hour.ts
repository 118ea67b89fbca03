/** What the last hour was like, by the minute: bytes and pulls by where they came from, whether anybody looked or not. */
import { Background, type Clock, inStep, type Logger } from '../src/base/base.ts'
import type { NodeMetrics } from './metrics/metrics.ts'
import type { Source } from './requests/pull-source.ts'

/** What happened from one time to another. Of the minute that is not over, until now. */
export interface Minute {
  fromMs: number
  toMs: number
  /** That clients read, by where they came from. */
  bytes: Record<Source, number>
  pushedBytes: number
  /** Manifests and blobs. */
  pulls: Record<Source, number>
  failed: number
}

export interface LastHour extends AsyncDisposable {
  /** 61 at most, the oldest first. */
  minutes(): Minute[]
}

export interface LastHourOptions {
  metrics: Pick<NodeMetrics, 'read'>
  /** How many pulls failed since the start. */
  failed(): number
  clock: Clock
  logger: Logger
}

type Counts = Omit<Minute, 'fromMs' | 'toMs'>

const minuteMs = 60_000
const kept = 60
const sources = ['local', 'peer', 'upstream'] as const satisfies Source[]

/** Counts until it is disposed of. */
export function openLastHour({ metrics, failed, clock, logger }: LastHourOptions): LastHour {
  const background = new Background('the node', logger)
  const minutes: Minute[] = []
  let begun = { atMs: clock.now(), counts: count() }

  function count(): Counts {
    const bySource = (name: 'shoal_pull_bytes_total' | 'shoal_pulls_total') => ({
      local: metrics.read(name, { source: 'local' }),
      peer: metrics.read(name, { source: 'peer' }),
      upstream: metrics.read(name, { source: 'upstream' }),
    })
    return {
      bytes: bySource('shoal_pull_bytes_total'),
      pushedBytes: metrics.read('shoal_push_bytes_total'),
      pulls: bySource('shoal_pulls_total'),
      failed: failed(),
    }
  }

  function sinceBegun(): Minute {
    const { atMs, counts: before } = begun
    const now = count()
    const minus = (all: Record<Source, number>, those: Record<Source, number>) => {
      const left = { ...all }
      for (const source of sources) left[source] -= those[source]
      return left
    }
    return {
      fromMs: atMs,
      toMs: clock.now(),
      bytes: minus(now.bytes, before.bytes),
      pushedBytes: now.pushedBytes - before.pushedBytes,
      pulls: minus(now.pulls, before.pulls),
      failed: now.failed - before.failed,
    }
  }

  background.start('counting by the minute', async (signal) => {
    for (;;) {
      await clock.sleep(inStep(minuteMs, clock.now()), { signal })
      minutes.push(sinceBegun())
      begun = { atMs: clock.now(), counts: count() }
      if (minutes.length > kept) minutes.shift()
    }
  })
  return {
    minutes: () => [...minutes, sinceBegun()],
    [Symbol.asyncDispose]: () => background[Symbol.asyncDispose](),
  }
}
