/** A reader of a blob on its way, at the moment at which the part becomes the blob. */
import { expect, it } from 'vitest'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import type { Attempt } from '../../../src/exchange/transfer/attempt.ts'
import { blobReader } from '../../../src/exchange/transfer/blob-reader.ts'
import { TransferState } from '../../../src/exchange/transfer/transfer-state.ts'
import { memoryStore } from '../../../src/store/store.ts'
import { digestOf, pieceBytes, read, someBytes, wanted } from '../lab/fixture.ts'

it('goes on from the store when the part becomes the blob under it, whatever is told meanwhile', async () => {
  const bytes = someBytes(3 * pieceBytes)
  const digest = digestOf(bytes)
  const store = memoryStore()
  await store.blobs.write(
    digest,
    (async function* () {
      yield bytes
    })(),
  )
  const layout = layoutOf(bytes.length)
  const state = new TransferState(wanted(digest), 0)
  const partial = {
    plan: { digest, size: layout.size, pieceBytes, hashes: new Uint8Array() },
    has: () => true,
    async *chunks(): AsyncGenerator<Uint8Array> {
      state.go({ name: 'proving', attempt })
      // A peer may say something before the proof is over.
      setImmediate(() => {
        state.gained(0)
        setImmediate(() => state.go({ name: 'proven' }))
      })
      throw new Error('the file has another name by now')
    },
  }
  const attempt = { partial, readers: () => undefined } as unknown as Attempt
  state.go({ name: 'downloading', attempt })
  await using blob = blobReader({
    state,
    layout,
    blobs: store.blobs,
    isPart: false,
    release: () => undefined,
  })
  expect(Buffer.compare(await read(blob), bytes)).toBe(0)
})
