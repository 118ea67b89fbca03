/** What a client is told when nothing can be kept. */
import { expect, it } from 'vitest'
import { digestBytes, parseRepository } from '../../src/oci/oci.ts'
import type { Names } from '../../src/records/records.ts'
import { createRegistry, nowhere } from '../../src/registry/registry.ts'
import { DatabaseFaultError, memoryStore, type Store, StoreFullError } from '../../src/store/store.ts'

const repository = parseRepository('team/app')
const digest = digestBytes(Buffer.from('a layer'))

function keepingNothing(error: Error) {
  const state = { disposed: 0 }
  const memory = memoryStore()
  const refuse = async (): Promise<never> => {
    throw error
  }
  const store: Store = { ...memory, links: { ...memory.links, add: refuse, remove: refuse } }
  const coming = {
    size: 7,
    chunks: async function* () {
      yield Buffer.from('a layer')
    },
    [Symbol.asyncDispose]: async () => {
      state.disposed++
    },
  }
  const fetchBlob = async (): Promise<boolean> => {
    await memory.blobs.write(digest, coming.chunks())
    return true
  }
  const elsewhere = { ...nowhere, openBlob: async () => coming, fetchBlob }
  const names = { onChange: () => () => undefined } as Partial<Names> as Names
  return { state, registry: createRegistry({ store, names, elsewhere }) }
}

it.each([
  [new StoreFullError('the disk is full'), 'NO_SPACE'],
  [new DatabaseFaultError('it is opened again'), 'UNAVAILABLE'],
])('says of %s that it is %s, in pulls, mounts and deletions', async (error, code) => {
  const { registry } = keepingNothing(error)
  using _ = registry
  await expect(registry.pull.openBlob(repository, digest)).rejects.toMatchObject({ code })
  const mount = { mount: { digest, from: repository } }
  await expect(registry.push.startUpload(repository, mount)).rejects.toMatchObject({ code })
  await expect(registry.deletion.deleteBlob(repository, digest)).rejects.toMatchObject({ code })
})

it('lets go of a blob that comes from a member when it cannot be kept', async () => {
  const { state, registry } = keepingNothing(new StoreFullError('the disk is full'))
  using _ = registry
  await expect(registry.pull.openBlob(repository, digest)).rejects.toMatchObject({ code: 'NO_SPACE' })
  expect(state.disposed).toBe(1)
})
