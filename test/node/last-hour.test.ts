/** What a node remembers of the last hour. */
import { expect, it } from 'vitest'
import { openLastHour } from '../../node/last-hour.ts'
import { createMetrics } from '../../node/metrics/metrics.ts'
import { silentLogger } from '../../src/base/base.ts'

/** Each sleep ends when the test says so, at the time that it was to end. */
function steppedClock() {
  let ms = 0
  let wake: (() => void) | undefined
  let asleep = Promise.withResolvers<void>()
  return {
    now: () => ms,
    set: (to: number) => {
      ms = to
    },
    async sleep(forMs: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
      await new Promise<void>((resolve, reject) => {
        wake = () => {
          ms += forMs
          resolve()
        }
        signal?.addEventListener('abort', () => reject(signal.reason))
        asleep.resolve()
      })
    },
    async next(): Promise<void> {
      await asleep.promise
      asleep = Promise.withResolvers()
      wake?.()
      await asleep.promise
    },
  }
}

it('is told by the minute and by source, with the minute that is not over', async () => {
  const clock = steppedClock()
  const metrics = createMetrics()
  let failed = 3
  const pull = (source: string, bytes: number) => {
    metrics.count('shoal_pulls_total', { kind: 'blob', source })
    metrics.count('shoal_pull_bytes_total', { kind: 'blob', source }, bytes)
  }
  pull('local', 1_000)
  await using hour = openLastHour({ metrics, failed: () => failed, clock, logger: silentLogger })
  pull('local', 10)
  pull('peer', 20)
  metrics.count('shoal_push_bytes_total', { kind: 'blob' }, 5)
  await clock.next()
  pull('upstream', 7)
  failed++
  clock.set(clock.now() + 500)
  const [first, running] = hour.minutes()
  expect(first).toMatchObject({
    fromMs: 0,
    bytes: { local: 10, peer: 20, upstream: 0 },
    pulls: { local: 1, peer: 1, upstream: 0 },
    pushedBytes: 5,
    failed: 0,
  })
  expect(running).toMatchObject({
    fromMs: first?.toMs,
    toMs: (first?.toMs ?? 0) + 500,
    bytes: { local: 0, peer: 0, upstream: 7 },
    pulls: { local: 0, peer: 0, upstream: 1 },
    pushedBytes: 0,
    failed: 1,
  })
})

it('is an hour, however long the node runs', async () => {
  const clock = steppedClock()
  const metrics = createMetrics()
  await using hour = openLastHour({ metrics, failed: () => 0, clock, logger: silentLogger })
  for (let minute = 0; minute < 130; minute++) await clock.next()
  const minutes = hour.minutes()
  expect(minutes).toHaveLength(61)
  expect(clock.now() - (minutes[0]?.fromMs ?? 0)).toBe(3_600_000)
})
