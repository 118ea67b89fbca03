/** A reader of a blob on its way, at the moment at which the part becomes the blob. */
import { expect, it } from 'vitest'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import { blobReader } from '../../../src/exchange/transfer/blob-reader.ts'
import type { Follower } from '../../../src/exchange/transfer/transfer-state.ts'
import { memoryStore } from '../../../src/store/store.ts'
import { digestOf, pieceBytes, read, someBytes } from '../lab/fixture.ts'

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
  const follow = (piece: number): Follower => ({ from: piece, piece, failure: undefined })
  let change = Promise.withResolvers<void>()
  const news = (): void => {
    change.resolve()
    change = Promise.withResolvers()
  }
  const transfer = {
    digest,
    follow,
    unfollow: () => undefined,
    followed: () => undefined,
    tail: () => undefined,
    proven: false,
    proving: false,
    failure: undefined,
    partial: {
      plan: { digest, size: layout.size, pieceBytes, hashes: new Uint8Array() },
      has: () => true,
      held: layout.count,
      write: async () => true,
      take: async () => new Uint8Array(),
      learn: async () => undefined,
      finish: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
      async *chunks(): AsyncGenerator<Uint8Array> {
        transfer.proving = true
        // A peer may say something before the proof is over.
        setImmediate(() => {
          news()
          setImmediate(() => {
            transfer.proven = true
            transfer.proving = false
            news()
          })
        })
        throw new Error('the file has another name by now')
      },
    },
    get change() {
      return change.promise
    },
  }
  await using blob = blobReader({ transfer, layout, blobs: store.blobs, release: () => undefined })
  expect(Buffer.compare(await read(blob), bytes)).toBe(0)
})
