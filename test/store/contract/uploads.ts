/** What a store promises of uploads: that they go on from what arrived. */
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  digestOf,
  expectBytes,
  failing,
  inChunks,
  limits,
  other,
  push,
  readBlob,
  seededBytes,
  stalling,
  team,
} from '../scenery.ts'
import type { Subject } from './contract.ts'

export function itTakesUploads(at: Subject): void {
  describe('uploads', () => {
    it('takes a blob in pieces and links it', async () => {
      const bytes = seededBytes(300_000)
      const { id, offset } = await at.store.uploads.create(team)
      expect(offset).toBe(0)
      const first = await at.store.uploads.append(team, id, inChunks(bytes.slice(0, 100_000)))
      expect(first).toEqual({ id, repository: team, offset: 100_000 })
      await at.store.uploads.append(team, id, inChunks(bytes.slice(100_000)), { offset: 100_000 })
      expect(await at.store.uploads.finish(team, id, digestOf(bytes))).toEqual({ size: 300_000 })
      expectBytes(await readBlob(at.store, digestOf(bytes)), bytes)
      expect(await at.store.links.has(team, digestOf(bytes))).toBe(true)
      expect(await at.store.links.has(other, digestOf(bytes))).toBe(false)
      expect(await at.store.uploads.find(team, id)).toBeUndefined()
    })

    it.each([1, 4096, 65_536, 65_537, 2_000_000])('takes a blob of %i bytes whole', async (size) => {
      const bytes = seededBytes(size)
      const { id } = await at.store.uploads.create(team)
      const admitted: number[] = []
      const admit = async (bytes: number): Promise<void> => void admitted.push(bytes)
      const put = at.store.uploads.put(team, id, inChunks(bytes, 1000), digestOf(bytes), { admit, offset: 0 })
      expect([await put, admitted]).toEqual([{ size }, [size]])
      expectBytes(await readBlob(at.store, digestOf(bytes)), bytes)
      expect(await at.store.links.has(team, digestOf(bytes))).toBe(true)
      expect(await at.store.uploads.find(team, id)).toBeUndefined()
    })

    it('puts what is left of a session whose first bytes came before', async () => {
      const bytes = seededBytes(3000)
      const { id } = await at.store.uploads.create(team)
      await at.store.uploads.append(team, id, inChunks(bytes.slice(0, 1000)))
      await at.store.uploads.put(team, id, inChunks(bytes.slice(1000)), digestOf(bytes), { offset: 1000 })
      expectBytes(await readBlob(at.store, digestOf(bytes)), bytes)
    })

    it.each([100, 100_000])(
      'drops a session of %i bytes that hash to something else, or are not let in',
      async (size) => {
        const [bytes, others] = [seededBytes(size), seededBytes(size, 2)]
        const wrong = await at.store.uploads.create(team)
        await expect(
          at.store.uploads.put(team, wrong.id, inChunks(bytes), digestOf(others)),
        ).rejects.toMatchObject({
          code: 'DIGEST_INVALID',
        })
        const refused = await at.store.uploads.create(team)
        const refusal = new Error('no room')
        const admit = () => Promise.reject(refusal)
        const put = at.store.uploads.put(team, refused.id, inChunks(bytes), digestOf(bytes), { admit })
        await expect(put).rejects.toBe(refusal)
        for (const { id } of [wrong, refused]) expect(await at.store.uploads.find(team, id)).toBeUndefined()
        expect(await at.store.blobs.stat(digestOf(bytes))).toBeUndefined()
        expect(await at.store.blobs.stat(digestOf(others))).toBeUndefined()
      },
    )

    it('keeps what came of a small body that broke off, to go on from', async () => {
      const bytes = seededBytes(3000)
      const { id } = await at.store.uploads.create(team)
      const put = at.store.uploads.put(
        team,
        id,
        failing(bytes.slice(0, 2000), new Error('it broke off')),
        digestOf(bytes),
      )
      await expect(put).rejects.toThrow('it broke off')
      expect(await at.store.uploads.find(team, id)).toMatchObject({ offset: 2000 })
      await at.store.uploads.put(team, id, inChunks(bytes.slice(2000)), digestOf(bytes), { offset: 2000 })
      expectBytes(await readBlob(at.store, digestOf(bytes)), bytes)
    })

    it('takes the empty blob without an append', async () => {
      const { id } = await at.store.uploads.create(team)
      expect(await at.store.uploads.finish(team, id, digestOf(new Uint8Array()))).toEqual({ size: 0 })
    })

    it.each([
      ['sha256', 'sha512'],
      ['sha512', 'sha256'],
      ['sha512', 'sha512'],
    ] as const)('finishes a session of %s with %s', async (asked, given) => {
      const bytes = seededBytes(2_000_000)
      const { id } = await at.store.uploads.create(team, { algorithm: asked })
      await at.store.uploads.append(team, id, inChunks(bytes))
      await at.store.uploads.finish(team, id, digestOf(bytes, given))
      expectBytes(await readBlob(at.store, digestOf(bytes, given)), bytes)
    })

    it('leaves the memory of the chunks alone unless it may take it', async () => {
      const chunk = seededBytes(65_536)
      const whole = new Uint8Array([...chunk, ...chunk])
      const { id } = await at.store.uploads.create(team)
      await at.store.uploads.append(
        team,
        id,
        (async function* () {
          yield chunk
          yield chunk
        })(),
      )
      await at.store.uploads.finish(team, id, digestOf(whole))
      expectBytes(chunk, seededBytes(65_536))
    })

    it('takes the memory of the chunks when it may', async () => {
      const bytes = seededBytes(3_000_000)
      const { id } = await at.store.uploads.create(team)
      await at.store.uploads.append(team, id, inChunks(bytes), { transfer: true })
      await at.store.uploads
        .append(team, id, inChunks(bytes, 7001), { transfer: true })
        .catch(() => undefined)
      await at.store.uploads.cancel(team, id)
      const again = await at.store.uploads.create(team)
      await at.store.uploads.append(team, again.id, inChunks(bytes, 70_001), { transfer: true })
      await at.store.uploads.finish(team, again.id, digestOf(bytes))
      expectBytes(await readBlob(at.store, digestOf(bytes)), bytes)
    })

    it('takes thousands of tiny chunks', async () => {
      const bytes = seededBytes(20_000)
      const { id } = await at.store.uploads.create(team)
      await at.store.uploads.append(team, id, inChunks(bytes, 3))
      await at.store.uploads.finish(team, id, digestOf(bytes))
      expectBytes(await readBlob(at.store, digestOf(bytes)), bytes)
    })

    it('refuses a chunk that starts elsewhere and says where it stands', async () => {
      const { id } = await at.store.uploads.create(team)
      await at.store.uploads.append(team, id, inChunks(seededBytes(10)))
      for (const offset of [0, 9, 11])
        await expect(
          at.store.uploads.append(team, id, inChunks(seededBytes(1)), { offset }),
        ).rejects.toMatchObject({ code: 'UPLOAD_CONFLICT', offset: 10 })
      expect(await at.store.uploads.find(team, id)).toMatchObject({ offset: 10 })
    })

    it('keeps what arrived of a body that breaks off', async () => {
      const bytes = seededBytes(2_500_000)
      const { id } = await at.store.uploads.create(team)
      const broken = at.store.uploads.append(
        team,
        id,
        failing(bytes.slice(0, 1_700_000), new Error('connection reset')),
      )
      await expect(broken).rejects.toThrow('connection reset')
      expect(await at.store.uploads.find(team, id)).toMatchObject({ offset: 1_700_000 })
      await at.store.uploads.append(team, id, inChunks(bytes.slice(1_700_000)), { offset: 1_700_000 })
      await at.store.uploads.finish(team, id, digestOf(bytes))
    })

    it('cuts off an append when a second one comes, and goes on from what arrived', async () => {
      const bytes = seededBytes(100_000)
      const { id } = await at.store.uploads.create(team)
      const { body, taken, returned } = stalling(bytes.slice(0, 40_000))
      const first = at.store.uploads.append(team, id, body)
      const cutOff = expect(first).rejects.toMatchObject({ code: 'UPLOAD_CONFLICT', offset: 40_000 })
      await taken
      expect(await at.store.uploads.find(team, id)).toMatchObject({ offset: 40_000 })
      await at.store.uploads.append(team, id, inChunks(bytes.slice(40_000)), { offset: 40_000 })
      await cutOff
      await returned
      await at.store.uploads.finish(team, id, digestOf(bytes))
    })

    it('cuts off an append when the session is finished or cancelled', async () => {
      const bytes = seededBytes(1000)
      const session = await at.store.uploads.create(team)
      const stalled = stalling(bytes)
      const append = at.store.uploads.append(team, session.id, stalled.body)
      const cutOff = expect(append).rejects.toMatchObject({ code: 'UPLOAD_CONFLICT' })
      await stalled.taken
      await at.store.uploads.finish(team, session.id, digestOf(bytes))
      await cutOff
      const second = await at.store.uploads.create(team)
      const hanging = stalling(bytes)
      const secondAppend = at.store.uploads.append(team, second.id, hanging.body)
      const secondCut = expect(secondAppend).rejects.toMatchObject({ code: 'UPLOAD_CONFLICT' })
      await hanging.taken
      expect(await at.store.uploads.cancel(team, second.id)).toBe(true)
      await secondCut
    })

    it('lets only the last of many appends that come at once have the session', async () => {
      const { id } = await at.store.uploads.create(team)
      const stalls = Array.from({ length: 5 }, () => stalling(seededBytes(10)))
      const appends = stalls.map(({ body }) => at.store.uploads.append(team, id, body))
      const settled = Promise.allSettled(appends)
      await stalls[4]?.taken
      await at.store.uploads.cancel(team, id)
      for (const result of await settled) expect(result).toMatchObject({ status: 'rejected' })
    })

    it('drops the session when the bytes hash to something else', async () => {
      const { id } = await at.store.uploads.create(team)
      await at.store.uploads.append(team, id, inChunks(seededBytes(10)))
      const wrong = digestOf(seededBytes(11))
      await expect(at.store.uploads.finish(team, id, wrong)).rejects.toMatchObject({ code: 'DIGEST_INVALID' })
      expect(await at.store.uploads.find(team, id)).toBeUndefined()
      expect(await at.store.blobs.stat(wrong)).toBeUndefined()
      expect(await at.store.links.has(team, wrong)).toBe(false)
    })

    it('knows a session only in the repository that started it', async () => {
      const { id } = await at.store.uploads.create(team)
      const unknown = { code: 'UPLOAD_UNKNOWN' }
      expect(await at.store.uploads.find(other, id)).toBeUndefined()
      expect(await at.store.uploads.cancel(other, id)).toBe(false)
      await expect(at.store.uploads.append(other, id, inChunks(seededBytes(1)))).rejects.toMatchObject(
        unknown,
      )
      await expect(at.store.uploads.finish(other, id, digestOf(new Uint8Array()))).rejects.toMatchObject(
        unknown,
      )
      expect(await at.store.uploads.find(team, id)).toMatchObject({ offset: 0 })
    })

    it.each(['../../../etc/passwd', '', 'x\0y', randomUUID()])(
      'finds nothing under the id %j',
      async (id) => {
        const unknown = { code: 'UPLOAD_UNKNOWN' }
        expect(await at.store.uploads.find(team, id)).toBeUndefined()
        expect(await at.store.uploads.cancel(team, id)).toBe(false)
        await expect(at.store.uploads.append(team, id, inChunks(seededBytes(1)))).rejects.toMatchObject(
          unknown,
        )
      },
    )

    it('forgets a cancelled session', async () => {
      const { id } = await at.store.uploads.create(team)
      await at.store.uploads.append(team, id, inChunks(seededBytes(10)))
      expect(await at.store.uploads.cancel(team, id)).toBe(true)
      expect(await at.store.uploads.cancel(team, id)).toBe(false)
      expect(await at.store.uploads.find(team, id)).toBeUndefined()
    })

    const start = async (client: string, bytes = 1, repository = team): Promise<string> => {
      const { id } = await at.store.uploads.create(repository, { client })
      await at.store.uploads.append(repository, id, inChunks(seededBytes(bytes)))
      at.clock.advance(1)
      return id
    }
    const isThere = async (id: string) => (await at.store.uploads.find(team, id)) !== undefined

    it('lets sessions without a byte give way to new ones, the oldest first', async () => {
      const ids: string[] = []
      for (let session = 0; session < 1000; session++, at.clock.advance(1))
        ids.push((await at.store.uploads.create(team)).id)
      const there = await Promise.all(ids.map(isThere))
      const first = there.indexOf(true)
      expect(1000 - first).toBeGreaterThanOrEqual(3 * limits.maxSessions)
      expect(1000 - first).toBeLessThanOrEqual(4 * limits.maxSessions)
      expect(there.slice(first).every(Boolean)).toBe(true)
    })

    it('keeps a session with bytes, however many come without, and takes blobs meanwhile', async () => {
      const resting = await start('a')
      for (let session = 0; session < 1000; session++) await at.store.uploads.create(other, { client: 'a' })
      await push(at.store, seededBytes(10))
      await at.store.uploads.append(team, resting, inChunks(seededBytes(1)), { offset: 1 })
    })

    it('takes a new one where there are too many with bytes, and drops the one that has stood still longest', async () => {
      const ids: string[] = []
      for (let session = 0; session <= limits.maxSessions; session++) ids.push(await start('a'))
      expect(await Promise.all(ids.map(isThere))).toEqual(ids.map((_, session) => session > 0))
      await expect(
        at.store.uploads.append(team, ids[0] ?? '', inChunks(seededBytes(1))),
      ).rejects.toMatchObject({ code: 'UPLOAD_UNKNOWN' })
    })

    it('drops sessions of the client that has most of them, not those of another', async () => {
      const resting = await start('quiet')
      at.clock.advance(3_600_000)
      for (let session = 0; session < 5 * limits.maxSessions; session++) await start('loud')
      expect(await isThere(resting)).toBe(true)
    })

    it('cuts off a body that nobody sees move, for one that comes', async () => {
      const { id } = await at.store.uploads.create(team)
      const { body, taken } = stalling(seededBytes(1))
      const cutOff = expect(at.store.uploads.append(team, id, body)).rejects.toMatchObject({
        code: 'UPLOAD_UNKNOWN',
      })
      await taken
      at.clock.advance(60_000)
      for (let session = 0; session < limits.maxSessions; session++) await start('')
      await cutOff
      expect(await isThere(id)).toBe(false)
    })

    it('refuses a first byte where all are at work, and has it then', async () => {
      const clients = Array.from({ length: limits.maxSessions }, (_, client) => `client-${client}`)
      for (const client of clients) await start(client, 1_500_000)
      const { id } = await at.store.uploads.create(team, { client: 'late' })
      const first = () => at.store.uploads.append(team, id, inChunks(seededBytes(1)))
      await expect(first()).rejects.toMatchObject({ code: 'UPLOAD_LIMIT', limit: 'sessions' })
      at.clock.advance(60_000)
      expect(await first()).toMatchObject({ offset: 1 })
    })

    it('refuses bytes past the largest blob and keeps what fitted', async () => {
      const { id } = await at.store.uploads.create(team)
      const bytes = seededBytes(limits.maxBlobBytes)
      await at.store.uploads.append(team, id, inChunks(bytes))
      await expect(at.store.uploads.append(team, id, inChunks(seededBytes(1)))).rejects.toMatchObject({
        code: 'UPLOAD_LIMIT',
        limit: 'bytes',
      })
      await at.store.uploads.finish(team, id, digestOf(bytes))
    })

    it('expires only sessions that are idle', async () => {
      const idle = await at.store.uploads.create(team)
      const busy = await at.store.uploads.create(team)
      at.clock.advance(1000)
      await at.store.uploads.append(team, busy.id, inChunks(seededBytes(1)))
      at.clock.advance(500)
      const { body, taken } = stalling(seededBytes(1))
      const running = await at.store.uploads.create(team)
      const append = at.store.uploads.append(team, running.id, body)
      const cutOff = expect(append).rejects.toMatchObject({ code: 'UPLOAD_CONFLICT' })
      await taken
      expect(await at.store.uploads.expire(1000)).toBe(1)
      expect(await at.store.uploads.find(team, idle.id)).toBeUndefined()
      expect(await at.store.uploads.find(team, busy.id)).toMatchObject({ offset: 1 })
      at.clock.advance(5000)
      expect(await at.store.uploads.expire(1000)).toBe(1)
      expect(await at.store.uploads.find(team, running.id)).toMatchObject({ offset: 1 })
      await at.store.uploads.cancel(team, running.id)
      await cutOff
    })
  })
}
