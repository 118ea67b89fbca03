/** Threads that are there while they are needed. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/base.ts'
import { DiskSpace } from '../../../src/store/files/disk-space.ts'
import { IngestPool } from '../../../src/store/ingest/ingest-pool.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'

const space = new DiskSpace('/', 0, { usage: async () => ({ freeBytes: 2 ** 40 }) })

it('ends a thread that nobody used for a while, takes up what comes later in a new one, and never ends one in use', async () => {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'shoal-pool-'))
  stack.defer(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'aa'))
  const clock = new SteppedClock()
  const ended: PromiseWithResolvers<void>[] = [Promise.withResolvers(), Promise.withResolvers()]
  const errors: unknown[] = []
  let count = 0
  const logger = {
    ...silentLogger,
    debug: () => ended[count++]?.resolve(),
    error: (fields: object) => void errors.push(fields),
  }
  const pool = stack.use(new IngestPool({ threads: 1, space, clock, logger }))
  const put = async (name: string): Promise<void> => {
    const [path, target] = [join(folder, name), join(folder, 'aa', name)]
    await pool.put({ path, target, bytes: Buffer.from(name), timeMs: 1000 })
    expect(await readFile(target, 'utf8')).toBe(name)
  }
  await put('one')
  await clock.pass(20_000)
  await put('two')
  await clock.pass(20_000)
  await clock.untilAsleep(10_000)
  expect(count).toBe(0)
  await clock.pass(10_000)
  await ended[0]?.promise

  const ingest = await pool.open(join(folder, 'three'), 'sha256')
  await put('four')
  // A file is open in it.
  clock.advance(60_000)
  await ingest.close()
  await clock.pass(30_000)
  await ended[1]?.promise
  expect([count, errors]).toEqual([2, []])
})
