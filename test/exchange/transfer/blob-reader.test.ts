/** A reader of a blob on its way: at the moment at which the part becomes the blob, and where its bytes came from. */
import { expect, it } from 'vitest'
import { fromUpstream } from '../../../src/base/base.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import type { Attempt } from '../../../src/exchange/transfer/attempt.ts'
import { blobReader } from '../../../src/exchange/transfer/blob-reader.ts'
import { TransferState } from '../../../src/exchange/transfer/transfer-state.ts'
import { memoryStore, type OpenBlob } from '../../../src/store/store.ts'
import { digestOf, openWorld, pieceBytes, read, someBytes, until, wanted } from '../lab/fixture.ts'

const begun = { askedMs: 1, foundMs: 2, readyMs: 5 }
const clock = { now: () => 9, sleep: async () => undefined }

/** Of a blob that is in the store by now, whose pieces these gave. */
function readerOf(givers: (string | undefined)[], proof?: { startMs: number; endMs: number }) {
  const layout = layoutOf(givers.length * pieceBytes)
  const blob: OpenBlob = {
    size: layout.size,
    async *chunks(start, end) {
      yield new Uint8Array(end - start - 1)
      yield new Uint8Array(1)
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
  const state = new TransferState(wanted(digestOf(new Uint8Array())), 0)
  for (const [piece, giver] of givers.entries()) if (giver !== undefined) state.writes(piece, giver)
  state.proof = proof
  state.go({ name: 'proven' })
  const blobs = { open: async () => blob }
  return blobReader({ state, layout, blobs, isPart: false, begun, clock, release: () => undefined })
}

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
    begun,
    clock,
    release: () => undefined,
  })
  expect(Buffer.compare(await read(blob), bytes)).toBe(0)
})

it('counts the bytes of each piece for whoever gave it, also where a chunk is of several', async () => {
  const reader = readerOf([undefined, 'a', fromUpstream, 'b', 'a'])
  await read(reader, [10, 4 * pieceBytes + 7])
  expect(reader.provenance?.().origins).toEqual({
    local: pieceBytes - 10,
    upstream: pieceBytes,
    peers: new Map([
      ['a', pieceBytes + 7],
      ['b', pieceBytes],
    ]),
  })
})

it('tells the stages that are over, and the transfer up to now', () => {
  expect(readerOf(['a']).provenance?.().stages).toEqual([
    { stage: 'find', startMs: 1, endMs: 2 },
    { stage: 'list', startMs: 2, endMs: 5 },
    { stage: 'transfer', startMs: 5, endMs: 9 },
  ])
  expect(readerOf(['a'], { startMs: 7, endMs: 8 }).provenance?.().stages).toContainEqual({
    stage: 'disk',
    startMs: 7,
    endMs: 8,
  })
})

it('tells of a blob from members who gave how much, and of one that is here nothing', async () => {
  await using world = openWorld()
  const [first, second, downloader] = [await world.node(), await world.node(), await world.node()]
  const bytes = someBytes(40 * pieceBytes + 5)
  const digest = await first.holds(bytes)
  await second.holds(bytes)
  const blob = await downloader.exchange.open(wanted(digest))
  if (blob === undefined) expect.fail('nobody has it')
  await read(blob)
  const { origins, stages } = blob.provenance?.() ?? expect.fail('it tells nothing')
  expect(origins.local + origins.upstream).toBe(0)
  const peers = [...origins.peers.keys()]
  expect([first.peer, second.peer]).toEqual(expect.arrayContaining(peers))
  expect([...origins.peers.values()].reduce((sum, count) => sum + count)).toBe(bytes.length)
  expect(stages.map(({ stage }) => stage)).toEqual(['find', 'list', 'transfer', 'disk'])
  await blob[Symbol.asyncDispose]()
  await until('the blob to be stored', () => downloader.has(digest))
  const again = await downloader.exchange.open(wanted(digest))
  expect(again?.provenance).toBeUndefined()
  await again?.[Symbol.asyncDispose]()
})
