/** What a store promises of blobs: whole or not at all, read as they came. */
import { describe, expect, it } from 'vitest'
import {
  digestOf,
  expectBytes,
  failing,
  inChunks,
  limits,
  listAll,
  push,
  readAll,
  readBlob,
  seededBytes,
  stalling,
} from '../scenery.ts'
import type { Subject } from './contract.ts'

export function itHoldsBlobs(at: Subject): void {
  describe('blobs', () => {
    it.each([0, 1, 65_536, 1_000_003, 3_000_000])('gives back %i bytes as they came', async (length) => {
      const bytes = seededBytes(length)
      const digest = digestOf(bytes)
      expect(await at.store.blobs.write(digest, inChunks(bytes))).toEqual({ size: length })
      expect(await at.store.blobs.stat(digest)).toEqual({ size: length })
      expectBytes(await readBlob(at.store, digest), bytes)
    })

    it('holds sha512 as well', async () => {
      const bytes = seededBytes(100_000)
      const digest = digestOf(bytes, 'sha512')
      await at.store.blobs.write(digest, inChunks(bytes))
      expectBytes(await readBlob(at.store, digest), bytes)
      expect(await at.store.blobs.stat(digestOf(bytes))).toBeUndefined()
    })

    it('refuses bytes of another digest and keeps nothing', async () => {
      const digest = digestOf(seededBytes(10))
      await expect(at.store.blobs.write(digest, inChunks(seededBytes(10, 2)))).rejects.toMatchObject({
        code: 'DIGEST_INVALID',
      })
      expect(await at.store.blobs.stat(digest)).toBeUndefined()
      expect(await at.store.blobs.open(digest)).toBeUndefined()
    })

    it('keeps nothing of a body that breaks off', async () => {
      const bytes = seededBytes(200_000)
      const broken = at.store.blobs.write(digestOf(bytes), failing(bytes, new Error('gone')))
      await expect(broken).rejects.toThrow('gone')
      expect(await at.store.blobs.stat(digestOf(bytes))).toBeUndefined()
    })

    it('refuses a body past the largest blob', async () => {
      const bytes = seededBytes(limits.maxBlobBytes + 1)
      await expect(at.store.blobs.write(digestOf(bytes), inChunks(bytes))).rejects.toMatchObject({
        code: 'UPLOAD_LIMIT',
        limit: 'bytes',
      })
    })

    it('stops a write when its signal aborts, though the body hangs', async () => {
      const { body, taken, returned } = stalling(seededBytes(10))
      const controller = new AbortController()
      const write = at.store.blobs.write(digestOf(seededBytes(20)), body, { signal: controller.signal })
      await taken
      controller.abort(new Error('enough'))
      await expect(write).rejects.toThrow('enough')
      await returned
    })

    it('reads any range', async () => {
      const bytes = seededBytes(1_500_000)
      await at.store.blobs.write(digestOf(bytes), inChunks(bytes))
      const blob = await at.store.blobs.open(digestOf(bytes))
      if (blob === undefined) throw new Error('not found')
      await using open = blob
      for (const [start, end] of [
        [0, 1],
        [0, 0],
        [1_499_999, 1_500_000],
        [65_535, 65_537],
        [1000, 1_400_000],
      ] as const)
        expectBytes(await readAll(open, start, end), bytes.slice(start, end))
    })

    it('lets two readers of one open blob go at their own pace', async () => {
      const bytes = seededBytes(1_500_000)
      await at.store.blobs.write(digestOf(bytes), inChunks(bytes))
      const blob = await at.store.blobs.open(digestOf(bytes))
      if (blob === undefined) throw new Error('not found')
      await using open = blob
      const [first, second] = await Promise.all([readAll(open), readAll(open, 700_000)])
      expectBytes(first, bytes)
      expectBytes(second, bytes.slice(700_000))
    })

    it('lets a reader leave early', async () => {
      const bytes = seededBytes(1_500_000)
      await at.store.blobs.write(digestOf(bytes), inChunks(bytes))
      const blob = await at.store.blobs.open(digestOf(bytes))
      if (blob === undefined) throw new Error('not found')
      await using open = blob
      for await (const chunk of open.chunks(0, open.size)) {
        expect(chunk[0]).toBe(bytes[0])
        break
      }
      expectBytes(await readAll(open), bytes)
    })

    it('stops reading when the signal aborts', async () => {
      const bytes = seededBytes(1_500_000)
      await at.store.blobs.write(digestOf(bytes), inChunks(bytes))
      const blob = await at.store.blobs.open(digestOf(bytes))
      if (blob === undefined) throw new Error('not found')
      await using open = blob
      const controller = new AbortController()
      const reading = async (): Promise<void> => {
        for await (const _ of open.chunks(0, open.size, { signal: controller.signal }))
          controller.abort(new Error('enough'))
      }
      await expect(reading()).rejects.toThrow('enough')
    })

    it('lists every blob', async () => {
      const digests = await Promise.all([1, 2, 3].map((seed) => push(at.store, seededBytes(seed * 10, seed))))
      const listed = await listAll(at.store.blobs.list())
      expect(listed.map(({ digest }) => digest).sort()).toEqual(digests.sort())
      expect(listed.map(({ size }) => size).sort()).toEqual([10, 20, 30])
    })
  })
}
