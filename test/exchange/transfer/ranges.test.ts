/** Readers that want ranges of a blob and no more: what is brought for them, what they are given early, and what is kept. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ByteRange, RangesOf } from '../../../src/oci/oci.ts'
import { double } from '../lab/double.ts'
import {
  digestOf,
  opened,
  openWorld,
  pieceBytes,
  read,
  someBytes,
  type TestNode,
  until,
  type World,
  wanted,
} from '../lab/fixture.ts'
import { TestDelegation, TestOrigin } from '../lab/test-delegation.ts'

const pieces = 40
const bytes = someBytes((pieces - 1) * pieceBytes + 1000)
const tail: RangesOf = (size) => [{ start: size - 500, end: size }]

describe('a reader of ranges', () => {
  let world: World
  beforeEach(() => {
    world = openWorld()
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
  })

  it('gets the end of a blob from its last piece alone, before the blob is whole', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const digest = await seeder.holds(bytes)
    await using blob = await opened(downloader, digest, { ranges: tail })
    expect(Buffer.from(await read(blob, [blob.size - 500, blob.size]))).toEqual(
      Buffer.from(bytes.subarray(-500)),
    )
    await until('it to count', () => downloader.exchange.status().transfers[0]?.held === 1)
    expect(world.mesh.sentBy(seeder.peer)).toBeLessThan(1000 + 8 * 1024)
    expect(await downloader.has(digest)).toBe(false)
  })

  it('has as many bytes moved as it asked for, and the edges of pieces', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const digest = await seeder.holds(bytes)
    const asked = [3, 5, 6, 20].map((piece) => at(piece, 100, pieceBytes / 2))
    await using blob = await opened(downloader, digest, { ranges: () => asked })
    for (const { start, end } of asked) {
      expect(Buffer.compare(await read(blob, [start, end]), bytes.subarray(start, end))).toBe(0)
    }
    await until('them all', () => downloader.exchange.status().transfers[0]?.held === 4)
    expect(world.mesh.sentBy(seeder.peer)).toBeLessThan(4 * pieceBytes + 8 * 1024)
  })

  it('is one of sixteen that together read all, as ollama does: it comes once, and is a blob in the end', async () => {
    const seeder = await world.node({ limits: { uploadBytesPerSecond: 16 * 1024 * 1024 } })
    const downloader = await world.node()
    const digest = await seeder.holds(bytes)
    const part = Math.ceil(bytes.length / 16)
    const parts = await Promise.all(
      Array.from({ length: 16 }, async (_, index) => {
        const range = { start: index * part, end: Math.min(bytes.length, (index + 1) * part) }
        await using blob = await opened(downloader, digest, { ranges: () => [range] })
        return await read(blob, [range.start, range.end])
      }),
    )
    expect(Buffer.compare(Buffer.concat(parts), bytes)).toBe(0)
    expect(world.mesh.sentBy(seeder.peer)).toBeLessThan(1.25 * bytes.length)
    await until('it to be proven', () => downloader.has(digest))
  })

  it('waits for the proof where its ranges make up all of the blob', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const digest = await seeder.holds(bytes)
    const half = 7 * pieceBytes
    const all: RangesOf = (size) => [
      { start: half, end: size },
      { start: 0, end: half },
    ]
    await using blob = await opened(downloader, digest, { ranges: all })
    await read(blob, [half, blob.size])
    expect(await downloader.has(digest)).toBe(true)
  })

  it('does not keep one that wants all from having it, and what it brought is not brought again', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const digest = await seeder.holds(bytes)
    await using blob = await opened(downloader, digest, { ranges: () => [at(0, 0, 10 * pieceBytes)] })
    await read(blob, [0, 10 * pieceBytes])
    expect(await downloader.exchange.fetch(wanted(digest))).toBe(true)
    expect(world.mesh.sentBy(seeder.peer)).toBeLessThan(1.1 * bytes.length)
  })

  it('leaves a part behind from which a later download goes on', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const digest = await seeder.holds(bytes)
    const blob = await opened(downloader, digest, { ranges: () => [at(0, 0, 10 * pieceBytes)] })
    await read(blob, [0, 10 * pieceBytes])
    await blob[Symbol.asyncDispose]()
    await until('the transfer to stop', () => downloader.exchange.status().transfers.length === 0)
    const before = world.mesh.sentBy(seeder.peer)
    expect(await downloader.exchange.fetch(wanted(digest))).toBe(true)
    expect(world.mesh.sentBy(seeder.peer) - before).toBeLessThan((pieces - 10) * pieceBytes + 8 * 1024)
  })

  it('may take its time, as nothing is late while nothing more is wanted', async () => {
    const seeder = await world.node()
    const downloader = await world.node({ limits: { giveUpMs: 200 } })
    const digest = await seeder.holds(bytes)
    await using slow = await opened(downloader, digest, { ranges: () => [at(0, 0, 10)] })
    const startMs = world.clock.now()
    await until('more than that time', () => world.clock.now() - startMs > 600)
    await using blob = await opened(downloader, digest, { ranges: tail })
    await read(blob, [blob.size - 500, blob.size])
    expect(await read(slow, [0, 10])).toHaveLength(10)
  })

  it('is told the size where no byte of the blob is in its ranges', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const digest = await seeder.holds(bytes)
    await using blob = await opened(downloader, digest, { ranges: () => [] })
    expect(blob.size).toBe(bytes.length)
    expect(downloader.exchange.status().transfers).toMatchObject([{ held: 1 }])
  })

  it('is told the size that a manifest says by one piece of the blob, and has it brought where none does', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const digest = await seeder.holds(bytes)
    const find = (sizes: number[]) => downloader.exchange.find(wanted(digest), { withinMs: 18_000, sizes })
    expect(await find([1, bytes.length])).toEqual({ size: bytes.length })
    expect(await downloader.has(digest)).toBe(false)
    expect(world.mesh.sentBy(seeder.peer)).toBeLessThan(pieceBytes + 8 * 1024)
    expect(await find([1])).toEqual({ size: bytes.length })
    expect(await downloader.has(digest)).toBe(true)
  })

  it('is not led to another list by one that gives a piece while it wants none', async () => {
    const seeder = await world.node()
    const downloader = await world.node()
    const digest = await seeder.holds(bytes)
    await using blob = await opened(downloader, digest, { ranges: () => [at(0, 0, 10)] })
    await read(blob, [0, 10])
    const wrong = someBytes(bytes.length)
    double({ mesh: world.mesh, identity: world.identity(), bytes: wrong, digest })
    const startMs = world.clock.now()
    await until('what a trial takes', () => world.clock.now() - startMs > 1000)
    await using end = await opened(downloader, digest, { ranges: tail })
    expect(Buffer.from(await read(end, [bytes.length - 500, bytes.length]))).toEqual(
      Buffer.from(bytes.subarray(-500)),
    )
  })

  it('gets the last piece after the proof where nobody has proven the blob yet', async () => {
    const delegation = new TestDelegation()
    const node: TestNode = await world.node({ override: { delegation: delegation.for(() => node.peer) } })
    const origin = new TestOrigin(bytes)
    origin.gate = 5 * pieceBytes
    delegation.add(node, origin)
    await using blob = await opened(node, digestOf(bytes), { ranges: tail })
    const reading = read(blob, [blob.size - 500, blob.size])
    let isGiven = false
    void reading.then(() => {
      isGiven = true
    })
    await until('some of it', () => (node.exchange.status().transfers[0]?.held ?? 0) >= 5)
    expect(isGiven).toBe(false)
    origin.let(bytes.length)
    await reading
    expect(await node.has(digestOf(bytes))).toBe(true)
  })
})

function at(piece: number, from: number, length: number): ByteRange {
  return { start: piece * pieceBytes + from, end: piece * pieceBytes + from + length }
}
