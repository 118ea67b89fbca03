import { truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { hexOf } from '../../../src/oci/oci.ts'
import { Claims } from '../../../src/store/links/claims.ts'
import { digestOf, openAt, push, readBlob, seededBytes, temporaryFolder } from '../scenery.ts'

const one = digestOf(seededBytes(1))
const two = digestOf(seededBytes(2))

it('what somebody holds or writes is not removed, and what nobody does is', async () => {
  const claims = new Claims()
  for (const kind of ['hold', 'write'] as const) {
    await claims[kind]([one], async () => {
      expect(await claims.remove(one, async () => true)).toBeUndefined()
      expect(await claims.remove(two, async () => true)).toBe(true)
    })
    expect(await claims.remove(one, async () => true)).toBe(true)
  }
})

it('what is held can be set aside, and what is written cannot', async () => {
  const claims = new Claims()
  await claims.hold([one], async () => {
    expect(await claims.setAside(one, async () => true)).toBe(true)
    await claims.write([one], async () => {
      expect(await claims.setAside(one, async () => true)).toBeUndefined()
    })
    expect(await claims.setAside(one, async () => true)).toBe(true)
  })
})

it('who writes or holds waits until what was begun is over', async () => {
  const claims = new Claims()
  for (const begin of ['remove', 'setAside'] as const) {
    for (const kind of ['hold', 'write'] as const) {
      const over = Promise.withResolvers<void>()
      const order: string[] = []
      const removal = claims[begin](one, async () => {
        await over.promise
        order.push(begin)
      })
      const claimed = claims[kind]([one], async () => void order.push(kind))
      over.resolve()
      await Promise.all([removal, claimed])
      expect(order).toEqual([begin, kind])
    }
  }
})

it('a blob that rotted is found out by whoever holds it, too', async () => {
  await using folder = await temporaryFolder()
  await using opened = await openAt(folder.path)
  const { store } = opened
  const digest = await push(store, seededBytes(100))
  await truncate(join(folder.path, 'blobs', 'sha256', hexOf(digest).slice(0, 2), hexOf(digest)), 50)
  await store.hold([digest], async () => {
    expect(await store.blobs.stat(digest)).toBeUndefined()
    await push(store, seededBytes(100))
  })
  expect(await readBlob(store, digest)).toEqual(seededBytes(100))
})
