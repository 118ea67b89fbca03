import { afterEach, expect, it, vi } from 'vitest'
import { IngestPool } from '../../../src/store/ingest/ingest-pool.ts'
import { openDatabase, openStore } from '../../../src/store/store.ts'
import { WorkerCallError } from '../../../src/store/threads/worker-thread.ts'
import { expectBytes, push, readBlob, seededBytes, temporaryFolder } from '../scenery.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

it.each(['EIO', 'EMFILE'])('does not take %s for rot', async (code) => {
  await using stack = new AsyncDisposableStack()
  const { path } = stack.use(await temporaryFolder())
  const database = stack.adopt(await openDatabase(path), (opened) => opened.close())
  const store = stack.use(await openStore({ directory: path, database, minFreeBytes: 0, workers: 1 }))
  const digest = await push(store, seededBytes(1000))
  const other = await push(store, seededBytes(2000))
  const hash = vi.spyOn(IngestPool.prototype, 'hash')
  hash.mockRejectedValueOnce(new WorkerCallError(`${code}: the system says no`, code))
  await expect(store.verifyBlob(digest)).rejects.toMatchObject({ code })
  hash.mockRejectedValueOnce(new WorkerCallError(`${code}: the system says no`, code))
  const report = await store.verify()
  expect(report).toMatchObject({ blobs: 1, corrupt: [], unreadable: [expect.any(String)] })
  expectBytes(await readBlob(store, digest), seededBytes(1000))
  expectBytes(await readBlob(store, other), seededBytes(2000))
})
