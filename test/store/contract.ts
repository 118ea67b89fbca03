/** What every store promises; run against each of them. */
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Digest, parseDigest } from '../../src/oci/oci.ts'
import type { CollectReport, Store } from '../../src/store/store.ts'
import {
  digestOf,
  expectBytes,
  failing,
  graceMs,
  type HandClock,
  handClock,
  inChunks,
  listAll,
  other,
  push,
  pushManifest,
  readAll,
  readBlob,
  seededBytes,
  stalling,
  team,
} from './scenery.ts'

export interface ContractSetup {
  clock: HandClock
  maxBlobBytes: number
  maxSessions: number
}

export const limits = { maxBlobBytes: 4 * 1024 * 1024, maxSessions: 8 }

export function itIsAStore(
  name: string,
  open: (setup: ContractSetup) => Promise<AsyncDisposable & { store: Store }>,
): void {
  describe(name, () => {
    let opened: AsyncDisposable & { store: Store }
    let store: Store
    let clock: HandClock

    beforeEach(async () => {
      clock = handClock()
      opened = await open({ clock, ...limits })
      store = opened.store
    })

    afterEach(async () => {
      await opened[Symbol.asyncDispose]()
    })

    const collect = (options: { live?: Digest[]; dryRun?: boolean } = {}): Promise<CollectReport> =>
      store.collect({
        graceMs,
        dryRun: options.dryRun ?? false,
        isLive: async (_, digest) => options.live?.includes(digest) ?? false,
      })

    describe('blobs', () => {
      it.each([0, 1, 65_536, 1_000_003, 3_000_000])('gives back %i bytes as they came', async (length) => {
        const bytes = seededBytes(length)
        const digest = digestOf(bytes)
        expect(await store.blobs.write(digest, inChunks(bytes))).toEqual({ size: length })
        expect(await store.blobs.stat(digest)).toEqual({ size: length })
        expectBytes(await readBlob(store, digest), bytes)
      })

      it('holds sha512 as well', async () => {
        const bytes = seededBytes(100_000)
        const digest = digestOf(bytes, 'sha512')
        await store.blobs.write(digest, inChunks(bytes))
        expectBytes(await readBlob(store, digest), bytes)
        expect(await store.blobs.stat(digestOf(bytes))).toBeUndefined()
      })

      it('refuses bytes of another digest and keeps nothing', async () => {
        const digest = digestOf(seededBytes(10))
        await expect(store.blobs.write(digest, inChunks(seededBytes(10, 2)))).rejects.toMatchObject({
          code: 'DIGEST_INVALID',
        })
        expect(await store.blobs.stat(digest)).toBeUndefined()
        expect(await store.blobs.open(digest)).toBeUndefined()
      })

      it('keeps nothing of a body that breaks off', async () => {
        const bytes = seededBytes(200_000)
        const broken = store.blobs.write(digestOf(bytes), failing(bytes, new Error('gone')))
        await expect(broken).rejects.toThrow('gone')
        expect(await store.blobs.stat(digestOf(bytes))).toBeUndefined()
      })

      it('refuses a body past the largest blob', async () => {
        const bytes = seededBytes(limits.maxBlobBytes + 1)
        await expect(store.blobs.write(digestOf(bytes), inChunks(bytes))).rejects.toMatchObject({
          code: 'UPLOAD_LIMIT',
          limit: 'bytes',
        })
      })

      it('stops a write when its signal aborts, though the body hangs', async () => {
        const { body, taken, returned } = stalling(seededBytes(10))
        const controller = new AbortController()
        const write = store.blobs.write(digestOf(seededBytes(20)), body, { signal: controller.signal })
        await taken
        controller.abort(new Error('enough'))
        await expect(write).rejects.toThrow('enough')
        await returned
      })

      it('reads any range', async () => {
        const bytes = seededBytes(1_500_000)
        await store.blobs.write(digestOf(bytes), inChunks(bytes))
        const blob = await store.blobs.open(digestOf(bytes))
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
        await store.blobs.write(digestOf(bytes), inChunks(bytes))
        const blob = await store.blobs.open(digestOf(bytes))
        if (blob === undefined) throw new Error('not found')
        await using open = blob
        const [first, second] = await Promise.all([readAll(open), readAll(open, 700_000)])
        expectBytes(first, bytes)
        expectBytes(second, bytes.slice(700_000))
      })

      it('lets a reader leave early', async () => {
        const bytes = seededBytes(1_500_000)
        await store.blobs.write(digestOf(bytes), inChunks(bytes))
        const blob = await store.blobs.open(digestOf(bytes))
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
        await store.blobs.write(digestOf(bytes), inChunks(bytes))
        const blob = await store.blobs.open(digestOf(bytes))
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
        const digests = await Promise.all([1, 2, 3].map((seed) => push(store, seededBytes(seed * 10, seed))))
        const listed = await listAll(store.blobs.list())
        expect(listed.map(({ digest }) => digest).sort()).toEqual(digests.sort())
        expect(listed.map(({ size }) => size).sort()).toEqual([10, 20, 30])
      })
    })

    describe('uploads', () => {
      it('takes a blob in pieces and links it', async () => {
        const bytes = seededBytes(300_000)
        const { id, offset } = await store.uploads.create(team)
        expect(offset).toBe(0)
        const first = await store.uploads.append(team, id, inChunks(bytes.slice(0, 100_000)))
        expect(first).toEqual({ id, repository: team, offset: 100_000 })
        await store.uploads.append(team, id, inChunks(bytes.slice(100_000)), { offset: 100_000 })
        expect(await store.uploads.finish(team, id, digestOf(bytes))).toEqual({ size: 300_000 })
        expectBytes(await readBlob(store, digestOf(bytes)), bytes)
        expect(await store.links.has(team, digestOf(bytes))).toBe(true)
        expect(await store.links.has(other, digestOf(bytes))).toBe(false)
        expect(await store.uploads.find(team, id)).toBeUndefined()
      })

      it('takes the empty blob without an append', async () => {
        const { id } = await store.uploads.create(team)
        expect(await store.uploads.finish(team, id, digestOf(new Uint8Array()))).toEqual({ size: 0 })
      })

      it.each([
        ['sha256', 'sha512'],
        ['sha512', 'sha256'],
        ['sha512', 'sha512'],
      ] as const)('finishes a session of %s with %s', async (asked, given) => {
        const bytes = seededBytes(2_000_000)
        const { id } = await store.uploads.create(team, { algorithm: asked })
        await store.uploads.append(team, id, inChunks(bytes))
        await store.uploads.finish(team, id, digestOf(bytes, given))
        expectBytes(await readBlob(store, digestOf(bytes, given)), bytes)
      })

      it('leaves the memory of the chunks alone unless it may take it', async () => {
        const chunk = seededBytes(65_536)
        const whole = new Uint8Array([...chunk, ...chunk])
        const { id } = await store.uploads.create(team)
        await store.uploads.append(
          team,
          id,
          (async function* () {
            yield chunk
            yield chunk
          })(),
        )
        await store.uploads.finish(team, id, digestOf(whole))
        expectBytes(chunk, seededBytes(65_536))
      })

      it('takes the memory of the chunks when it may', async () => {
        const bytes = seededBytes(3_000_000)
        const { id } = await store.uploads.create(team)
        await store.uploads.append(team, id, inChunks(bytes), { transfer: true })
        await store.uploads.append(team, id, inChunks(bytes, 7001), { transfer: true }).catch(() => undefined)
        await store.uploads.cancel(team, id)
        const again = await store.uploads.create(team)
        await store.uploads.append(team, again.id, inChunks(bytes, 70_001), { transfer: true })
        await store.uploads.finish(team, again.id, digestOf(bytes))
        expectBytes(await readBlob(store, digestOf(bytes)), bytes)
      })

      it('takes thousands of tiny chunks', async () => {
        const bytes = seededBytes(20_000)
        const { id } = await store.uploads.create(team)
        await store.uploads.append(team, id, inChunks(bytes, 3))
        await store.uploads.finish(team, id, digestOf(bytes))
        expectBytes(await readBlob(store, digestOf(bytes)), bytes)
      })

      it('refuses a chunk that starts elsewhere and says where it stands', async () => {
        const { id } = await store.uploads.create(team)
        await store.uploads.append(team, id, inChunks(seededBytes(10)))
        for (const offset of [0, 9, 11])
          await expect(
            store.uploads.append(team, id, inChunks(seededBytes(1)), { offset }),
          ).rejects.toMatchObject({ code: 'UPLOAD_CONFLICT', offset: 10 })
        expect(await store.uploads.find(team, id)).toMatchObject({ offset: 10 })
      })

      it('keeps what arrived of a body that breaks off', async () => {
        const bytes = seededBytes(2_500_000)
        const { id } = await store.uploads.create(team)
        const broken = store.uploads.append(
          team,
          id,
          failing(bytes.slice(0, 1_700_000), new Error('connection reset')),
        )
        await expect(broken).rejects.toThrow('connection reset')
        expect(await store.uploads.find(team, id)).toMatchObject({ offset: 1_700_000 })
        await store.uploads.append(team, id, inChunks(bytes.slice(1_700_000)), { offset: 1_700_000 })
        await store.uploads.finish(team, id, digestOf(bytes))
      })

      it('cuts off an append when a second one comes, and goes on from what arrived', async () => {
        const bytes = seededBytes(100_000)
        const { id } = await store.uploads.create(team)
        const { body, taken, returned } = stalling(bytes.slice(0, 40_000))
        const first = store.uploads.append(team, id, body)
        const cutOff = expect(first).rejects.toMatchObject({ code: 'UPLOAD_CONFLICT', offset: 40_000 })
        await taken
        expect(await store.uploads.find(team, id)).toMatchObject({ offset: 40_000 })
        await store.uploads.append(team, id, inChunks(bytes.slice(40_000)), { offset: 40_000 })
        await cutOff
        await returned
        await store.uploads.finish(team, id, digestOf(bytes))
      })

      it('cuts off an append when the session is finished or cancelled', async () => {
        const bytes = seededBytes(1000)
        const session = await store.uploads.create(team)
        const stalled = stalling(bytes)
        const append = store.uploads.append(team, session.id, stalled.body)
        const cutOff = expect(append).rejects.toMatchObject({ code: 'UPLOAD_CONFLICT' })
        await stalled.taken
        await store.uploads.finish(team, session.id, digestOf(bytes))
        await cutOff
        const second = await store.uploads.create(team)
        const hanging = stalling(bytes)
        const secondAppend = store.uploads.append(team, second.id, hanging.body)
        const secondCut = expect(secondAppend).rejects.toMatchObject({ code: 'UPLOAD_CONFLICT' })
        await hanging.taken
        expect(await store.uploads.cancel(team, second.id)).toBe(true)
        await secondCut
      })

      it('lets only the last of many appends that come at once have the session', async () => {
        const { id } = await store.uploads.create(team)
        const stalls = Array.from({ length: 5 }, () => stalling(seededBytes(10)))
        const appends = stalls.map(({ body }) => store.uploads.append(team, id, body))
        const settled = Promise.allSettled(appends)
        await stalls[4]?.taken
        await store.uploads.cancel(team, id)
        for (const result of await settled) expect(result).toMatchObject({ status: 'rejected' })
      })

      it('drops the session when the bytes hash to something else', async () => {
        const { id } = await store.uploads.create(team)
        await store.uploads.append(team, id, inChunks(seededBytes(10)))
        const wrong = digestOf(seededBytes(11))
        await expect(store.uploads.finish(team, id, wrong)).rejects.toMatchObject({ code: 'DIGEST_INVALID' })
        expect(await store.uploads.find(team, id)).toBeUndefined()
        expect(await store.blobs.stat(wrong)).toBeUndefined()
        expect(await store.links.has(team, wrong)).toBe(false)
      })

      it('knows a session only in the repository that started it', async () => {
        const { id } = await store.uploads.create(team)
        const unknown = { code: 'UPLOAD_UNKNOWN' }
        expect(await store.uploads.find(other, id)).toBeUndefined()
        expect(await store.uploads.cancel(other, id)).toBe(false)
        await expect(store.uploads.append(other, id, inChunks(seededBytes(1)))).rejects.toMatchObject(unknown)
        await expect(store.uploads.finish(other, id, digestOf(new Uint8Array()))).rejects.toMatchObject(
          unknown,
        )
        expect(await store.uploads.find(team, id)).toMatchObject({ offset: 0 })
      })

      it.each(['../../../etc/passwd', '', 'x\0y', randomUUID()])(
        'finds nothing under the id %j',
        async (id) => {
          const unknown = { code: 'UPLOAD_UNKNOWN' }
          expect(await store.uploads.find(team, id)).toBeUndefined()
          expect(await store.uploads.cancel(team, id)).toBe(false)
          await expect(store.uploads.append(team, id, inChunks(seededBytes(1)))).rejects.toMatchObject(
            unknown,
          )
        },
      )

      it('forgets a cancelled session', async () => {
        const { id } = await store.uploads.create(team)
        await store.uploads.append(team, id, inChunks(seededBytes(10)))
        expect(await store.uploads.cancel(team, id)).toBe(true)
        expect(await store.uploads.cancel(team, id)).toBe(false)
        expect(await store.uploads.find(team, id)).toBeUndefined()
      })

      it('refuses a session too many, until one ends', async () => {
        const sessions = await Promise.all(
          Array.from({ length: limits.maxSessions }, () => store.uploads.create(team)),
        )
        await expect(store.uploads.create(team)).rejects.toMatchObject({
          code: 'UPLOAD_LIMIT',
          limit: 'sessions',
        })
        await store.uploads.cancel(team, sessions[0]?.id ?? '')
        await store.uploads.create(team)
      })

      it('refuses bytes past the largest blob and keeps what fitted', async () => {
        const { id } = await store.uploads.create(team)
        const bytes = seededBytes(limits.maxBlobBytes)
        await store.uploads.append(team, id, inChunks(bytes))
        await expect(store.uploads.append(team, id, inChunks(seededBytes(1)))).rejects.toMatchObject({
          code: 'UPLOAD_LIMIT',
          limit: 'bytes',
        })
        await store.uploads.finish(team, id, digestOf(bytes))
      })

      it('expires only sessions that are idle', async () => {
        const idle = await store.uploads.create(team)
        const busy = await store.uploads.create(team)
        clock.advance(1000)
        await store.uploads.append(team, busy.id, inChunks(seededBytes(1)))
        clock.advance(500)
        const { body, taken } = stalling(seededBytes(1))
        const running = await store.uploads.create(team)
        const append = store.uploads.append(team, running.id, body)
        const cutOff = expect(append).rejects.toMatchObject({ code: 'UPLOAD_CONFLICT' })
        await taken
        expect(await store.uploads.expire(1000)).toBe(1)
        expect(await store.uploads.find(team, idle.id)).toBeUndefined()
        expect(await store.uploads.find(team, busy.id)).toMatchObject({ offset: 1 })
        clock.advance(5000)
        expect(await store.uploads.expire(1000)).toBe(1)
        expect(await store.uploads.find(team, running.id)).toMatchObject({ offset: 1 })
        await store.uploads.cancel(team, running.id)
        await cutOff
      })
    })

    describe('manifests', () => {
      it('keeps the bytes verbatim', async () => {
        const bytes = seededBytes(5000)
        const digest = digestOf(bytes)
        await store.manifests.put({ repository: team, digest, bytes, references: [], required: [] })
        expectBytes(await store.manifests.get(digest), bytes)
        expect(await store.links.has(team, digest)).toBe(true)
        expect(await listAll(store.manifests.list())).toEqual([digest])
      })

      it('refuses bytes of another digest', async () => {
        const write = { repository: team, bytes: seededBytes(10), references: [], required: [] }
        const digest = digestOf(seededBytes(11))
        await expect(store.manifests.put({ ...write, digest })).rejects.toMatchObject({
          code: 'DIGEST_INVALID',
        })
        expect(await store.manifests.get(digest)).toBeUndefined()
      })

      it('names what its repository does not hold', async () => {
        const here = await push(store, seededBytes(10))
        const elsewhere = await push(store, seededBytes(11), other)
        const nowhere = digestOf(seededBytes(12))
        await store.links.add(team, [nowhere])
        const refused = pushManifest(store, 'm', [here, elsewhere, nowhere, elsewhere])
        await expect(refused).rejects.toMatchObject({ code: 'BLOB_MISSING', digests: [elsewhere, nowhere] })
        expect(await listAll(store.manifests.list())).toEqual([])
      })

      it('counts a manifest of the repository as held', async () => {
        const child = await pushManifest(store, 'child', [])
        await pushManifest(store, 'index', [child])
        await expect(pushManifest(store, 'index', [child], other)).rejects.toMatchObject({
          digests: [child],
        })
      })

      it('removes a link once and leaves the bytes to the collector', async () => {
        const digest = await pushManifest(store, 'm', [])
        expect(await store.manifests.remove(team, digest)).toBe(true)
        expect(await store.manifests.remove(team, digest)).toBe(false)
        expect(await store.links.has(team, digest)).toBe(false)
        expect(await store.manifests.get(digest)).toBeDefined()
        expect(await collect()).toMatchObject({ manifests: 1 })
        expect(await store.manifests.get(digest)).toBeUndefined()
      })

      it('lists in order', async () => {
        const digests = await Promise.all(['a', 'b', 'c', 'd'].map((name) => pushManifest(store, name, [])))
        expect(await listAll(store.manifests.list())).toEqual(digests.sort())
      })
    })

    describe('links', () => {
      it('finds a repository that holds a digest', async () => {
        const digest = await push(store, seededBytes(10), other)
        expect(await store.links.anyRepository(digest)).toBe(other)
        expect(await store.links.anyRepository(digestOf(seededBytes(11)))).toBeUndefined()
        expect(await store.links.remove(other, digest)).toBe(true)
        expect(await store.links.remove(other, digest)).toBe(false)
        expect(await store.links.anyRepository(digest)).toBeUndefined()
      })

      it('keeps repositories whose names continue each other apart', async () => {
        const digest = await push(store, seededBytes(10), team)
        const longer = `${team}/more` as typeof team
        expect(await store.links.has(longer, digest)).toBe(false)
        await store.links.add(longer, [digest])
        await store.links.remove(team, digest)
        expect(await store.links.has(longer, digest)).toBe(true)
      })
    })

    describe('the collector', () => {
      it('leaves everything young', async () => {
        const blob = await push(store, seededBytes(10))
        await pushManifest(store, 'm', [blob])
        const unlinked = digestOf(seededBytes(20))
        await store.blobs.write(unlinked, inChunks(seededBytes(20)))
        clock.advance(graceMs - 1)
        expect(await collect()).toEqual({ blobs: 0, manifests: 0, links: 0, bytes: 0 })
      })

      it('takes what nobody needs once its lease has run out', async () => {
        const blob = await push(store, seededBytes(10))
        const unlinked = digestOf(seededBytes(20))
        await store.blobs.write(unlinked, inChunks(seededBytes(20)))
        clock.advance(graceMs)
        expect(await collect()).toEqual({ blobs: 2, manifests: 0, links: 1, bytes: 30 })
        expect(await store.blobs.stat(blob)).toBeUndefined()
        expect(await store.links.has(team, blob)).toBe(false)
      })

      it('keeps what a live manifest refers to, in its repository only', async () => {
        const blob = await push(store, seededBytes(10))
        await store.links.add(other, [blob])
        const manifest = await pushManifest(store, 'm', [blob])
        clock.advance(graceMs)
        expect(await collect({ live: [manifest] })).toMatchObject({ blobs: 0, manifests: 0, links: 1 })
        expect(await store.links.has(team, blob)).toBe(true)
        expect(await store.links.has(other, blob)).toBe(false)
      })

      it('takes a dead index with all that hangs on it in one go', async () => {
        const blobs = await Promise.all([10, 20, 30].map((length) => push(store, seededBytes(length))))
        const children = await Promise.all(
          blobs.map((blob, index) => pushManifest(store, `child ${index}`, [blob])),
        )
        const index = await pushManifest(store, 'index', children)
        clock.advance(graceMs)
        expect(await collect({ live: [index] })).toMatchObject({ links: 0 })
        const planned = await collect({ dryRun: true })
        expect(await store.manifests.get(index)).toBeDefined()
        expect(await collect()).toEqual(planned)
        expect(planned).toMatchObject({ blobs: 3, manifests: 4, links: 7 })
        expect(await collect()).toEqual({ blobs: 0, manifests: 0, links: 0, bytes: 0 })
      })

      it('is held by whoever asked for a link within the grace time', async () => {
        const blob = await push(store, seededBytes(10))
        for (let times = 0; times < 5; times++) {
          clock.advance(graceMs - 1)
          expect(await store.links.has(team, blob)).toBe(true)
          expect(await collect()).toMatchObject({ blobs: 0, links: 0 })
        }
        clock.advance(graceMs - 1)
        expect(await store.links.anyRepository(blob)).toBe(team)
        clock.advance(1)
        expect(await collect()).toMatchObject({ blobs: 0, links: 0 })
        clock.advance(graceMs)
        expect(await collect()).toMatchObject({ blobs: 1, links: 1 })
      })

      it('takes a blob whose manifest was removed', async () => {
        const blob = await push(store, seededBytes(10))
        const manifest = await pushManifest(store, 'm', [blob])
        clock.advance(graceMs)
        await store.manifests.remove(team, manifest)
        expect(await collect()).toMatchObject({ blobs: 1, manifests: 1, links: 1 })
      })

      it('keeps a blob without a link as long as a manifest refers to it', async () => {
        const blob = await push(store, seededBytes(10))
        const manifest = await pushManifest(store, 'm', [blob])
        await store.links.remove(team, blob)
        clock.advance(graceMs)
        expect(await collect({ live: [manifest] })).toMatchObject({ blobs: 0 })
        expect(await store.blobs.stat(blob)).toEqual({ size: 10 })
      })

      it('lets an open blob be read to its end', async () => {
        const bytes = seededBytes(1_500_000)
        const digest = await push(store, bytes)
        const blob = await store.blobs.open(digest)
        if (blob === undefined) throw new Error('not found')
        await using open = blob
        clock.advance(graceMs)
        await collect()
        expect(await store.blobs.stat(digest)).toBeUndefined()
        expectBytes(await readAll(open), bytes)
      })

      it('stops when its signal aborts', async () => {
        await push(store, seededBytes(10))
        clock.advance(graceMs)
        const stopped = store.collect({
          graceMs,
          isLive: async () => false,
          signal: AbortSignal.abort(new Error('enough')),
        })
        await expect(stopped).rejects.toThrow('enough')
      })

      it('collects again what was pushed again', async () => {
        const bytes = seededBytes(10)
        for (let times = 0; times < 3; times++) {
          await push(store, bytes)
          clock.advance(graceMs)
          expect(await collect()).toMatchObject({ blobs: 1, links: 1 })
        }
      })
    })

    it('verifies what it holds', async () => {
      await push(store, seededBytes(1000))
      await store.blobs.write(digestOf(seededBytes(10), 'sha512'), inChunks(seededBytes(10)))
      const digest = await pushManifest(store, 'm', [])
      const size = (await store.manifests.get(digest))?.length ?? 0
      const progress: number[] = []
      const report = await store.verify({ onProgress: ({ blobs }) => progress.push(blobs) })
      expect(report).toEqual({ blobs: 2, manifests: 1, bytes: 1010 + size, corrupt: [] })
      expect(progress).toEqual([1, 2, 2])
      expect(await store.blobs.stat(parseDigest(digest))).toBeUndefined()
    })
  })
}
