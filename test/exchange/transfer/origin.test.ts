/** Blobs that no member holds: fetched from their origin by one, taken over by the next, and had by the others piece by piece. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLists, packLists } from '../../../src/exchange/protocol/list-pack.ts'
import { encodeMessage } from '../../../src/exchange/protocol/messages.ts'
import { pieceListDomain, prefixOf, signPieceList } from '../../../src/exchange/protocol/piece-list.ts'
import { listFrames } from '../../../src/exchange/protocol/raw-frames.ts'
import type { Digest } from '../../../src/oci/oci.ts'
import { createVerifier } from '../../../src/wire/wire.ts'
import { double } from '../lab/double.ts'
import {
  digestOf,
  opened,
  openWorld,
  pieceBytes,
  pieceHashes,
  read,
  someBytes,
  type TestNode,
  until,
  type World,
  wanted,
} from '../lab/fixture.ts'
import { chunkBytes, TestDelegation, TestOrigin } from '../lab/test-delegation.ts'

const pieces = 12
const size = pieces * pieceBytes - 1000

let world: World
let bytes: Uint8Array
let digest: Digest
beforeEach(() => {
  world = openWorld()
  bytes = someBytes(size)
  digest = digestOf(bytes)
})
afterEach(async () => {
  await world[Symbol.asyncDispose]()
})

async function nodes(count: number, delegation: TestDelegation, stallMs = 300): Promise<TestNode[]> {
  const made: TestNode[] = []
  for (let number = 0; number < count; number++) {
    const node: TestNode = await world.node({
      limits: { stallMs },
      override: { delegation: delegation.for(() => node.peer) },
    })
    made.push(node)
  }
  return made
}

async function readAll(node: TestNode): Promise<Uint8Array> {
  await using blob = await opened(node, digest)
  return await read(blob)
}

describe('a blob that no member holds', () => {
  it('is brought once for all who want it at the same time', async () => {
    const delegation = new TestDelegation()
    const all = await nodes(6, delegation)
    const origin = new TestOrigin(bytes)
    for (const node of all) delegation.add(node, origin)
    const results = await Promise.all(all.map(readAll))
    for (const result of results) expect(Buffer.compare(result, bytes)).toBe(0)
    expect(origin.starts).toEqual([0])
    expect(origin.sent).toBe(size)
    for (const node of all) expect(await node.has(digest)).toBe(true)
    for (const node of all) expect(node.blamed).toEqual([])
  })

  it('is read by the others piece by piece while it comes, all but its end', async () => {
    const delegation = new TestDelegation()
    const [leader, reader] = await nodes(2, delegation)
    if (leader === undefined || reader === undefined) throw new Error('two were made')
    const origin = new TestOrigin(bytes)
    origin.gate = 3 * pieceBytes
    delegation.add(leader, origin)
    await using blob = await opened(reader, digest)
    expect(blob.size).toBe(size)
    const chunks = blob.chunks(0, size)[Symbol.asyncIterator]()
    let got = 0
    while (got < 3 * pieceBytes) got += (await chunks.next()).value.length
    const next = chunks.next()
    origin.let((pieces - 1) * pieceBytes)
    got += (await next).value.length
    while (got < (pieces - 1) * pieceBytes) got += (await chunks.next()).value.length
    expect(await reader.has(digest)).toBe(false)
    const end = chunks.next()
    origin.let(size)
    got += (await end).value.length
    for (let part = await chunks.next(); part.done !== true; part = await chunks.next())
      got += part.value.length
    expect(got).toBe(size)
    expect(origin.starts).toEqual([0])
  })

  it('gives readers nothing of a piece before it is whole', async () => {
    const delegation = new TestDelegation()
    const [leader, reader] = await nodes(2, delegation, 60_000)
    if (leader === undefined || reader === undefined) throw new Error('two were made')
    const origin = new TestOrigin(bytes)
    origin.gate = pieceBytes - chunkBytes
    delegation.add(leader, origin)
    let given = 0
    const readings = [leader, reader].map(async (node) => {
      await using blob = await opened(node, digest)
      const parts: Uint8Array[] = []
      for await (const chunk of blob.chunks(0, size)) {
        given += chunk.length
        parts.push(chunk.slice())
      }
      return Buffer.concat(parts)
    })
    await until('it to come', () => origin.sent >= pieceBytes - chunkBytes)
    await new Promise((resolve) => setImmediate(resolve))
    expect(given).toBe(0)
    origin.let(size)
    for (const result of await Promise.all(readings)) expect(Buffer.compare(result, bytes)).toBe(0)
    expect(origin.starts).toEqual([0])
  })

  it('is read as the second origin has it where the first broke off within a piece, and was wrong', async () => {
    const delegation = new TestDelegation()
    const [leader] = await nodes(1, delegation)
    if (leader === undefined) throw new Error('one was made')
    const wrong = bytes.slice()
    wrong[0] = (wrong[0] ?? 0) ^ 1
    const [breaking, good] = [new TestOrigin(wrong), new TestOrigin(bytes)]
    breaking.breaksAt = 3 * chunkBytes
    good.gate = 0
    delegation.add(leader, breaking)
    delegation.add(leader, good)
    await using blob = await opened(leader, digest)
    const reading = read(blob)
    await until('the second to be asked', () => good.starts.length > 0)
    good.let(size)
    expect(Buffer.compare(await reading, bytes)).toBe(0)
    expect(good.starts).toEqual([0])
  })

  it('is brought on by the next when the one that brings it is killed, from where nobody has it', async () => {
    const delegation = new TestDelegation()
    const [first, second, ...others] = await nodes(5, delegation)
    if (first === undefined || second === undefined) throw new Error('five were made')
    const [before, after] = [new TestOrigin(bytes), new TestOrigin(bytes)]
    before.gate = 7 * pieceBytes
    const killed = delegation.add(first, before)
    delegation.add(second, after)
    const reading = [second, ...others].map(readAll)
    const ignored = readAll(first).catch(() => undefined)
    await until('the others to have what came', () =>
      [second, ...others].every(({ exchange }) => exchange.status().transfers[0]?.held === 7),
    )
    delegation.kill(killed, world)
    for (const result of await Promise.all(reading)) expect(Buffer.compare(result, bytes)).toBe(0)
    expect(after.starts).toEqual([7 * pieceBytes])
    expect(before.sent + after.sent).toBe(size)
    await first.exchange[Symbol.asyncDispose]()
    await ignored
  })

  it('is brought on by the next when nothing comes any more, or the line breaks', async () => {
    const delegation = new TestDelegation()
    const [first, second, third] = await nodes(3, delegation)
    if (first === undefined || second === undefined || third === undefined) throw new Error('three were made')
    const origins = [bytes, bytes, bytes].map((content) => new TestOrigin(content))
    const [stalling, breaking, good] = origins
    if (stalling === undefined || breaking === undefined || good === undefined)
      throw new Error('three were made')
    stalling.gate = 2 * pieceBytes + 3 * chunkBytes
    breaking.breaksAt = 6 * pieceBytes + chunkBytes
    delegation.add(first, stalling)
    delegation.add(second, breaking)
    delegation.add(third, good)
    breaking.gate = 6 * pieceBytes
    const reading = Promise.all([first, second, third].map(readAll))
    await until('all to have what came', () =>
      [first, second, third].every(({ exchange }) => exchange.status().transfers[0]?.held === 6),
    )
    breaking.let(size)
    const results = await reading
    for (const result of results) expect(Buffer.compare(result, bytes)).toBe(0)
    // Whoever was brought it before it asked itself begins with the first once more.
    expect(origins.map(({ starts }) => starts[0])).toEqual([0, 2 * pieceBytes, 6 * pieceBytes])
    expect(breaking.starts.length + good.starts.length).toBe(2)
  })

  it('does not count as stalled while it comes slowly', async () => {
    const delegation = new TestDelegation()
    const [leader] = await nodes(1, delegation)
    if (leader === undefined) throw new Error('one was made')
    const origin = new TestOrigin(bytes)
    origin.gate = 0
    delegation.add(leader, origin)
    const reading = readAll(leader)
    for (let gate = chunkBytes; gate <= pieceBytes; gate += chunkBytes) {
      // The slowness is what is tested: less than an origin may be silent, and more in all.
      await world.clock.sleep(100)
      origin.let(gate)
    }
    origin.let(size)
    expect(Buffer.compare(await reading, bytes)).toBe(0)
    expect(origin.starts).toEqual([0])
  })

  it('is read from its beginning where ranges are not to be had', async () => {
    const delegation = new TestDelegation()
    const [first, second] = await nodes(2, delegation)
    if (first === undefined || second === undefined) throw new Error('two were made')
    const [breaking, good] = [new TestOrigin(bytes), new TestOrigin(bytes)]
    breaking.breaksAt = 6 * pieceBytes
    good.doesRanges = false
    delegation.add(first, breaking)
    delegation.add(second, good)
    expect(Buffer.compare(await readAll(first), bytes)).toBe(0)
    expect(good.starts).toEqual([6 * pieceBytes])
  })

  it('that is another one is given to nobody, and held against no member', async () => {
    const delegation = new TestDelegation()
    const all = await nodes(3, delegation)
    const wrong = someBytes(size)
    const origins = all.map(() => new TestOrigin(wrong))
    for (const [at, node] of all.entries()) delegation.add(node, origins[at] ?? new TestOrigin(wrong))
    for (const result of await Promise.allSettled(all.map(readAll))) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'BLOB_UNPROVEN' } })
    }
    for (const node of all) {
      expect(await node.has(digest)).toBe(false)
      expect(node.blamed).toEqual([])
    }
    for (const { sent } of origins) expect(sent).toBeLessThanOrEqual(2 * size)
  })

  it('that was wrong once is had when it is right the second time', async () => {
    const delegation = new TestDelegation()
    const [first, second, third] = await nodes(3, delegation)
    if (first === undefined || second === undefined || third === undefined) throw new Error('three were made')
    const wrong = bytes.slice()
    wrong[4 * pieceBytes] = (wrong[4 * pieceBytes] ?? 0) ^ 1
    delegation.add(first, new TestOrigin(wrong))
    const right = new TestOrigin(bytes)
    delegation.add(second, right)
    expect(await third.exchange.fetch(wanted(digest))).toBe(true)
    // Behind what others had of the wrong one, perhaps, and then from its beginning.
    expect(right.starts.at(-1)).toBe(0)
    expect(right.starts.length).toBeLessThanOrEqual(2)
  })

  it('never ends and is cut off', async () => {
    const delegation = new TestDelegation()
    const [leader] = await nodes(1, delegation)
    if (leader === undefined) throw new Error('one was made')
    const origin = new TestOrigin(bytes.subarray(0, size - 5000))
    origin.extra = 10_000
    delegation.add(leader, origin)
    await expect(readAll(leader)).rejects.toMatchObject({
      code: expect.stringMatching(/ORIGIN_FAILED|BLOB_UNPROVEN/),
    })
    expect(await leader.has(digest)).toBe(false)
  })

  it('is nowhere when its origin does not have it', async () => {
    const delegation = new TestDelegation()
    const all = await nodes(3, delegation)
    const origin = new TestOrigin(bytes)
    origin.isAbsent = true
    for (const node of all) delegation.add(node, origin)
    expect(await all[0]?.exchange.open(wanted(digest))).toBeUndefined()
    expect(await all[1]?.exchange.fetch(wanted(digest))).toBe(false)
  })

  it('fails with the reason when nobody can bring it', async () => {
    const delegation = new TestDelegation()
    const all = await nodes(2, delegation)
    const origin = new TestOrigin(bytes)
    origin.failure = new Error('the line is cut')
    for (const node of all) delegation.add(node, origin)
    await expect(all[1]?.exchange.open(wanted(digest))).rejects.toThrow('the line is cut')
  })

  it('is not fetched from its origin when a member holds it', async () => {
    const delegation = new TestDelegation()
    const [seeder, reader] = await nodes(2, delegation)
    if (seeder === undefined || reader === undefined) throw new Error('two were made')
    await seeder.holds(bytes)
    const origin = new TestOrigin(bytes)
    delegation.add(reader, origin)
    expect(Buffer.compare(await readAll(reader), bytes)).toBe(0)
    expect(origin.starts).toEqual([])
  })

  it('goes on after a restart with what had come', async () => {
    const delegation = new TestDelegation()
    const [leader] = await nodes(1, delegation)
    if (leader === undefined) throw new Error('one was made')
    const [breaking, good] = [new TestOrigin(bytes), new TestOrigin(bytes)]
    breaking.breaksAt = 5 * pieceBytes + chunkBytes
    const first = delegation.add(leader, breaking)
    await expect(readAll(leader)).rejects.toThrow('the line broke')
    first.life.abort(new Error('it restarts'))
    await until('the transfer to be over', () => leader.exchange.status().transfers.length === 0)
    delegation.add(leader, good)
    expect(Buffer.compare(await readAll(leader), bytes)).toBe(0)
    expect(good.starts).toEqual([5 * pieceBytes])
  })

  it('is had from others although its author contradicts itself, who is convicted by that', async () => {
    const reader = await world.node()
    const hashes = pieceHashes(bytes)
    const liar = world.identity()
    const section = (from: number, to: number, all: Uint8Array): Uint8Array => {
      const after = prefixOf({ hashes: all }, from)
      const signed = signPieceList({ digest, size, hashes: all.slice(from * 32, to * 32), after }, liar)
      return packLists([signed])
    }
    const changed = hashes.slice()
    changed[32] = (changed[32] ?? 0) ^ 1
    double({
      mesh: world.mesh,
      identity: liar,
      bytes,
      onWant: async (id, { channel }) => {
        const bitfield = new Uint8Array(2)
        bitfield[0] = 0xc0
        await channel.send(encodeMessage({ type: 'partial', id, size, bitfield }))
      },
      onList: async (id, { channel, asked }) => {
        const { from = 0 } = asked.findLast((ask) => ask.type === 'ask-list') ?? {}
        for (const frame of listFrames(id, from === 0 ? section(0, 2, hashes) : section(1, 3, changed))) {
          await channel.send(frame)
        }
        await channel.send(encodeMessage({ type: 'update', id, pieces: [2] }))
      },
    })
    const reading = Promise.allSettled([readAll(reader)])
    await until('the conviction', () => reader.blamed.length > 0)
    expect(reader.blamed).toEqual([{ peer: liar.peerId, misconduct: 'lying-list' }])
    const honest = await world.node()
    await honest.holds(bytes)
    // What was read by the word of one who lies is worth nothing, be it right or not.
    expect(await reading).toMatchObject([{ status: 'rejected', reason: { code: 'BLOB_UNPROVEN' } }])
    expect(Buffer.compare(await readAll(reader), bytes)).toBe(0)
    expect(reader.blamed).toHaveLength(1)
  })

  it('is passed on with who signed which of it', async () => {
    const delegation = new TestDelegation()
    const [first, second, third] = await nodes(3, delegation, 10_000)
    if (first === undefined || second === undefined || third === undefined) throw new Error('three were made')
    const [breaking, good] = [new TestOrigin(bytes), new TestOrigin(bytes)]
    breaking.breaksAt = 4 * pieceBytes
    breaking.gate = 4 * pieceBytes
    good.gate = 8 * pieceBytes
    delegation.add(first, breaking)
    delegation.add(second, good)
    const reading = readAll(third)
    await until('the first part', () => third.exchange.status().transfers[0]?.held === 4)
    breaking.let(size)
    await until('the second part', () => third.exchange.status().transfers[0]?.held === 8)
    await until('the list to be kept', async () => {
      const kept = third.lists.get(digest)
      if (kept === undefined) return false
      const lists = await openLists(kept, { digest, size }, createVerifier(pieceListDomain))
      const authors = new Set(lists.map(({ author }) => author))
      return authors.has(first.peer) && authors.has(second.peer)
    })
    good.let(size)
    expect(Buffer.compare(await reading, bytes)).toBe(0)
  })
})
