/** The thread that proves pieces is there while blobs are on their way. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/base.ts'
import { PiecePool } from '../../../src/store/partials/piece-pool.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'

it('ends the thread that proves pieces once no blob is on its way, and starts another when one comes', async () => {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'shoal-pieces-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const path = join(folder, 'blob')
  await writeFile(path, 'blob')
  const clock = new SteppedClock()
  const ended = Promise.withResolvers<void>()
  const errors: unknown[] = []
  const logger = {
    ...silentLogger,
    debug: () => ended.resolve(),
    error: (fields: object) => void errors.push(fields),
  }
  const pool = stack.use(new PiecePool({ clock, logger }))
  const first = pool.enter()
  const hashes = await pool.hashPieces(path, { pieceBytes: 4, start: 0, end: 4 })
  // A blob is on its way still.
  clock.advance(60_000)
  expect(pool.enter()).toBe(first)
  pool.leave()
  pool.leave()
  await clock.pass(30_000)
  await ended.promise
  expect(first.isLost).toBe(true)
  expect(await pool.hashPieces(path, { pieceBytes: 4, start: 0, end: 4 })).toEqual(hashes)
  expect(errors).toEqual([])
})
