/** When a ledger is swept. */
import { expect, it } from 'vitest'
import { silentLogger } from '../../src/base/base.ts'
import type { Database } from '../../src/records/storage.ts'
import { Sweep } from '../../src/records/sweep.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'

const hour = 60 * 60_000

it('is swept again soon when that was asked for in the middle of a sweep', async () => {
  const steady = new SteppedClock()
  const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const gate = Promise.withResolvers<void>()
  let sweeps = 0
  const keys = () => ({
    [Symbol.asyncIterator]: () => ({
      async next() {
        begun[sweeps++]?.resolve()
        await gate.promise
        return { done: true }
      },
    }),
    all: async () => [],
  })
  const db = { keys, getSync: () => undefined } as unknown as Database
  const others = { writer: {}, retention: {} } as unknown as ConstructorParameters<typeof Sweep>[0]
  const sweep = new Sweep({ ...others, db, clock: steady, steady, time: undefined, logger: silentLogger })
  const stop = new AbortController()
  const running = sweep.runAgain(hour, { signal: stop.signal })
  await steady.pass(hour)
  await begun[0]?.promise
  sweep.runSoon()
  gate.resolve()
  await steady.pass(1000)
  await begun[1]?.promise
  expect(sweeps).toBe(2)
  stop.abort()
  await running
})
