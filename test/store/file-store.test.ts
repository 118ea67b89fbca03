import { expect, test } from 'vitest'
import { hexOf } from '../../src/oci/oci.ts'
import { itIsAStore } from './contract/contract.ts'
import { listAll, openAt, push, pushManifest, seededBytes, temporaryFolder } from './scenery.ts'

itIsAStore('the file store', async (setup) => {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await temporaryFolder())
  const { store } = stack.use(await openAt(folder.path, setup))
  const kept = stack.move()
  return { store, [Symbol.asyncDispose]: () => kept.disposeAsync() }
})

test('what is here is listed by the first two digits of its hash', async () => {
  await using folder = await temporaryFolder()
  await using opened = await openAt(folder.path)
  const { store } = opened
  const held = [await push(store, seededBytes(10)), await pushManifest(store, 'an image', [])]
  for (const digest of held)
    expect(await listAll(store.listShard(hexOf(digest).slice(0, 2)))).toContain(digest)
  const shards = Array.from({ length: 256 }, (_, at) => at.toString(16).padStart(2, '0'))
  const all = await Promise.all(shards.map((shard) => listAll(store.listShard(shard))))
  expect(all.flat().sort()).toEqual(held.toSorted())
})
