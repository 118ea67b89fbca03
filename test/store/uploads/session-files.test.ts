/** The open files of upload sessions, and the threads that they keep. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/base.ts'
import { DiskSpace } from '../../../src/store/files/disk-space.ts'
import { IngestPool } from '../../../src/store/ingest/ingest-pool.ts'
import { HeldBytes, HeldRoom } from '../../../src/store/uploads/held-bytes.ts'
import { newSession } from '../../../src/store/uploads/session.ts'
import { SessionFiles } from '../../../src/store/uploads/session-files.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'
import { team } from '../scenery.ts'

const space = new DiskSpace('/', 0, { usage: async () => ({ sizeBytes: 2 ** 40, freeBytes: 2 ** 40 }) })

it('let the thread that took the place of one that died end like any other', async () => {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'shoal-session-files-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const clock = new SteppedClock()
  const ended = Promise.withResolvers<void>()
  const logger = { ...silentLogger, debug: () => ended.resolve() }
  const started: Worker[] = []
  const note = (worker: Worker): void => void started.push(worker)
  process.on('worker', note)
  stack.defer(() => void process.off('worker', note))
  const pool = stack.use(new IngestPool({ threads: 1, space, clock, logger }))
  const files = new SessionFiles({ open: (id, algorithm) => pool.open(join(folder, id), algorithm) }, 4)
  const facts = { repository: team, algorithm: 'sha256', touchedMs: 0 } as const
  const session = newSession('one', new HeldBytes(new HeldRoom()), facts)

  const lost = await files.open(session)
  await started[0]?.terminate()
  expect(lost.isLost).toBe(true)
  expect(await files.open(session)).not.toBe(lost)
  await files.forget(session)?.close()
  expect(clock.sleepers).toBe(1)
  await clock.pass(30_000)
  await ended.promise
})
