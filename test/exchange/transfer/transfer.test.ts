/** Blobs between exchanges: whole, in part, shared, resumed. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { noMetrics, steadyClock } from '../../../src/base/base.ts'
import { encodeMessage } from '../../../src/exchange/protocol/messages.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import { type Digest, parseRepository } from '../../../src/oci/oci.ts'
import { BlobRottenError } from '../../../src/store/store.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'
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

describe('a transfer', () => {
  let world: World
  beforeEach(() => {
    world = openWorld()
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
  })

  it.each([0, 1, 1000, pieceBytes, pieceBytes + 1, 20 * pieceBytes + 7])(
    'brings %d bytes from one seeder',
    async (size) => {
      const [seeder, downloader] = [await world.node(), await world.node()]
      const bytes = someBytes(size)
      const digest = await seeder.holds(bytes)
      await using blob = await opened(downloader, digest)
      expect(blob.size).toBe(size)
      expect(Buffer.compare(await read(blob), bytes)).toBe(0)
      await until('the blob to be stored', () => downloader.has(digest))
      expect([...downloader.announced]).toEqual([digest])
    },
  )

  it('is undefined for what nobody has, and false to fetch', async () => {
    const downloader = await world.node()
    await world.node()
    const [wantedHere] = [wanted(await (await world.node()).holds(someBytes(1)))]
    const nowhere = {
      ...wantedHere,
      digest: wantedHere.digest.replace(/.$/, 'x') as typeof wantedHere.digest,
    }
    expect(await downloader.exchange.open(nowhere)).toBeUndefined()
    expect(await downloader.exchange.fetch(nowhere)).toBe(false)
    expect(await downloader.exchange.find(nowhere, { withinMs: 1000 })).toBeUndefined()
    expect(downloader.exchange.status().transfers).toEqual([])
  })

  it('brings what is found to be rotten here when it is opened', async () => {
    const bytes = someBytes(1000)
    let isRotten = true
    const downloader: TestNode = await world.node({
      override: {
        blobs: {
          stat: async (digest) => (isRotten ? { size: bytes.length } : downloader.store.blobs.stat(digest)),
          async open(digest) {
            if (!isRotten) return downloader.store.blobs.open(digest)
            isRotten = false
            return undefined
          },
        },
      },
    })
    const digest = await (await world.node()).holds(bytes)
    await using blob = await opened(downloader, digest)
    expect(Buffer.compare(await read(blob), bytes)).toBe(0)
  })

  it('that nobody lets one repository have does not keep another one from it', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const bytes = someBytes(1000)
    const digest = await seeder.holds(bytes)
    const other = parseRepository('team/other')
    downloader.readers.add(other)
    const forOther = downloader.exchange.fetch({ repository: other, digest })
    const mine = downloader.exchange.open(wanted(digest))
    expect(await forOther).toBe(false)
    await using blob = await mine
    expect(blob && Buffer.compare(await read(blob), bytes)).toBe(0)
  })

  it('is looked up only when every member has said that it does not have it', async () => {
    const events: string[] = []
    const downloader = await world.node({
      override: {
        providers: {
          find: async function* () {
            events.push('look-up')
            yield* []
          },
          announce: () => undefined,
          withdraw: () => undefined,
        },
      },
    })
    const bytes = someBytes(1000)
    for (let count = 0; count < 3; count++) {
      double({
        mesh: world.mesh,
        identity: world.identity(),
        bytes,
        onWant: async (id, { channel }) => {
          events.push('absent')
          await channel.send(encodeMessage({ type: 'absent', id }))
        },
      })
    }
    expect(await downloader.exchange.open(wanted(digestOf(bytes)))).toBeUndefined()
    expect(events).toEqual(['absent', 'absent', 'absent', 'look-up'])
  })

  it('is not looked up while a member has it', async () => {
    let isLookedUp = false
    const override = {
      providers: {
        find: async function* () {
          isLookedUp = true
          yield* []
        },
        announce: () => undefined,
        withdraw: () => undefined,
      },
    }
    const downloader = await world.node({ override })
    const slow = await world.node({ limits: { uploadBytesPerSecond: 1024 * 1024 } })
    expect(await downloader.exchange.fetch(wanted(await slow.holds(someBytes(2 * pieceBytes))))).toBe(true)
    expect(isLookedUp).toBe(false)
  })

  it('is looked up again while those that have some of it do not have all', async () => {
    const bytes = someBytes(2 * pieceBytes)
    const lookedUp = Promise.withResolvers<void>()
    const override = {
      providers: {
        find: async function* () {
          lookedUp.resolve()
          yield* []
        },
        announce: () => undefined,
        withdraw: () => undefined,
      },
    }
    const downloader = await world.node({ override, limits: { giveUpMs: 60_000 } })
    double({
      mesh: world.mesh,
      identity: world.identity(),
      bytes,
      onWant: async (id, { channel }) => {
        const bitfield = new Uint8Array([0b10000000])
        await channel.send(encodeMessage({ type: 'partial', id, size: bytes.length, bitfield }))
      },
    })
    const over = new AbortController()
    const fetching = downloader.exchange.fetch(wanted(digestOf(bytes)), { signal: over.signal })
    await lookedUp.promise
    over.abort(new Error('the test is over'))
    await expect(fetching).rejects.toThrow('the test is over')
  })

  it('tells the size of what was brought in time', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const digest = await seeder.holds(someBytes(777))
    expect(await downloader.exchange.find(wanted(digest), { withinMs: 18_000 })).toEqual({ size: 777 })
    expect(await downloader.has(digest)).toBe(true)
  })

  it('tells the size of what takes longer where a manifest says the same, and not when it was to be had in vain', async () => {
    const bytes = someBytes(3 * pieceBytes)
    const downloader = await world.node({ limits: { giveUpMs: 100 } })
    double({ mesh: world.mesh, identity: world.identity(), bytes, onPiece: async () => undefined })
    const find = (sizes: number[]) =>
      downloader.exchange.find(wanted(digestOf(bytes)), { withinMs: 50, sizes })
    expect(await find([bytes.length + 1])).toBeUndefined()
    expect(await find([1, bytes.length])).toEqual({ size: bytes.length })
    expect(await downloader.exchange.fetch(wanted(digestOf(bytes)))).toBe(false)
    expect(await find([bytes.length])).toBeUndefined()
  })

  it('of which no byte comes is given up before its readers give up waiting for an answer', async () => {
    const bytes = someBytes(3 * pieceBytes)
    const downloader = await world.node({ limits: { giveUpMs: 600 } })
    double({ mesh: world.mesh, identity: world.identity(), bytes, onPiece: async () => undefined })
    const startMs = world.clock.now()
    await expect(downloader.exchange.open(wanted(digestOf(bytes)))).rejects.toThrow(/nothing came/)
    expect(world.clock.now() - startMs).toBeLessThan(600)
  })

  it('is not given up while this node itself hashes what is here already, or the whole, for however long', async () => {
    const [seeder, downloader] = [await world.node(), await world.node({ limits: { giveUpMs: 450 } })]
    const { partials } = downloader
    const open = partials.open.bind(partials)
    partials.open = async (plan) => {
      await world.clock.sleep(900)
      const part = await open(plan)
      const finish = part.finish.bind(part)
      part.finish = async () => {
        await world.clock.sleep(900)
        await finish()
      }
      return part
    }
    const digest = await seeder.holds(someBytes(5 * pieceBytes))
    expect(await downloader.exchange.fetch(wanted(digest))).toBe(true)
  })

  it('of which what was kept has rotted on the disk is got all the same, and not by who read of that, and nobody is blamed', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const { partials } = downloader
    const open = partials.open.bind(partials)
    const begun = Promise.withResolvers<void>()
    let opened = 0
    partials.open = async (plan) => {
      const part = await open(plan)
      if (opened++ > 0) return part
      part.finish = async () => {
        await begun.promise
        await part[Symbol.asyncDispose]()
        throw new BlobRottenError('a piece rotted; it is read again next time')
      }
      return part
    }
    const digest = await seeder.holds(someBytes(5 * pieceBytes))
    await using blob = await downloader.exchange.open(wanted(digest))
    const read = async (): Promise<void> => {
      for await (const _ of blob?.chunks(0, blob.size) ?? []) begun.resolve()
    }
    await expect(read()).rejects.toMatchObject({ code: 'BLOB_UNPROVEN' })
    expect(await downloader.exchange.fetch(wanted(digest))).toBe(true)
    expect(opened).toBe(2)
    expect(downloader.exchange.status().peers.flatMap(({ faults }) => Object.keys(faults))).toEqual([])
  })

  describe('from a seeder that has yet to hash it', () => {
    const mebibyte = 1024 * 1024
    const bytes = someBytes(24 * mebibyte)

    /** Hashes as far as it is told to. */
    async function slowSeeder(): Promise<{ digest: Digest; hashesTo(offset: number): void }> {
      const hashes = pieceHashes(bytes)
      const { pieceBytes: cut } = layoutOf(bytes.length)
      let offset = 0
      let told = Promise.withResolvers<void>()
      const seeder = await world.node({
        override: {
          hashPieces: async (_digest, { from, to }) => {
            while (offset < to * cut) await told.promise
            return hashes.slice(32 * from, 32 * to)
          },
        },
      })
      return {
        digest: await seeder.holds(bytes),
        hashesTo(next) {
          offset = next
          told.resolve()
          told = Promise.withResolvers()
        },
      }
    }

    it('can be read as far as that has come, and comes right in the end', async () => {
      const { digest, hashesTo } = await slowSeeder()
      const downloader = await world.node()
      const opening = opened(downloader, digest)
      hashesTo(8 * mebibyte)
      await using blob = await opening
      expect(Buffer.compare(await read(blob, [0, 8 * mebibyte]), bytes.subarray(0, 8 * mebibyte))).toBe(0)
      hashesTo(16 * mebibyte)
      const middle = [8 * mebibyte, 16 * mebibyte] as const
      expect(Buffer.compare(await read(blob, [...middle]), bytes.subarray(...middle))).toBe(0)
      hashesTo(24 * mebibyte)
      expect(Buffer.compare(await read(blob), bytes)).toBe(0)
      expect(downloader.blamed).toEqual([])
    })

    it('is told more of as soon as there is more, without a tick of its clock', async () => {
      const { digest, hashesTo } = await slowSeeder()
      const downloader = await world.node({ override: { clock: new SteppedClock() } })
      const opening = opened(downloader, digest)
      hashesTo(8 * mebibyte)
      await using blob = await opening
      hashesTo(24 * mebibyte)
      expect(Buffer.compare(await read(blob), bytes)).toBe(0)
    })

    it('is not given up while that goes on, though what is wanted of it lies at its end', async () => {
      const { digest, hashesTo } = await slowSeeder()
      const downloader = await world.node({ limits: { giveUpMs: 900 } })
      const opening = opened(downloader, digest, { ranges: (size) => [{ start: size - 500, end: size }] })
      opening.catch(() => undefined)
      for (const offset of [8, 16, 24]) {
        await world.clock.sleep(400)
        hashesTo(offset * mebibyte)
      }
      await using blob = await opening
      const tail = await read(blob, [blob.size - 500, blob.size])
      expect(Buffer.from(tail)).toEqual(Buffer.from(bytes.subarray(-500)))
    })

    it('is given up once that stands still', async () => {
      const { digest, hashesTo } = await slowSeeder()
      const downloader = await world.node({ limits: { giveUpMs: 300 } })
      hashesTo(8 * mebibyte)
      const ranges = (size: number) => [{ start: size - 500, end: size }]
      await expect(opened(downloader, digest, { ranges })).rejects.toThrow(/nothing came/)
      hashesTo(24 * mebibyte)
    })
  })

  it('gives nothing to a repository that may not read it', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const digest = await seeder.holds(someBytes(1000))
    const other = parseRepository('team/other')
    expect(await downloader.exchange.open({ repository: other, digest })).toBeUndefined()
    await using blob = await opened(downloader, digest)
    // Neither while it is on its way here, nor once it is here.
    expect(await downloader.exchange.open({ repository: other, digest })).toBeUndefined()
    await read(blob)
    downloader.readers.clear()
    expect(await downloader.exchange.open({ repository: other, digest })).toBeUndefined()
    seeder.readers.add(other)
    await using shared = await downloader.exchange.open({ repository: other, digest })
    expect(shared?.size).toBe(1000)
  })

  it('costs the seeder far fewer copies than there are downloaders', async () => {
    const seeder = await world.node({ limits: { uploadBytesPerSecond: 4 * 1024 * 1024 } })
    const downloaders: TestNode[] = []
    for (let count = 0; count < 6; count++) downloaders.push(await world.node())
    const bytes = someBytes(40 * pieceBytes)
    const digest = await seeder.holds(bytes)
    const fetched = await Promise.all(downloaders.map(({ exchange }) => exchange.fetch(wanted(digest))))
    expect(fetched).toEqual(downloaders.map(() => true))
    for (const downloader of downloaders) expect(await downloader.has(digest)).toBe(true)
    expect(world.mesh.sentBy(seeder.peer)).toBeLessThan(2 * bytes.length)
  })

  it('serves each piece before the blob is whole', async () => {
    const seeder = await world.node()
    const bytes = someBytes(30 * pieceBytes)
    const digest = await seeder.holds(bytes)
    const first = await world.node({ limits: { downloadBytesPerSecond: 4 * 1024 * 1024 } })
    const fetching = first.exchange.fetch(wanted(digest))
    await until('a part of it', () => (first.exchange.status().transfers[0]?.held ?? 0) > 2)
    const second = await world.node()
    await using blob = await opened(second, digest)
    await until('something from the first downloader', () => world.mesh.sentBy(first.peer) > pieceBytes)
    expect(await first.has(digest)).toBe(false)
    expect(Buffer.compare(await read(blob), bytes)).toBe(0)
    expect(await fetching).toBe(true)
  })

  it('reads ranges of what is on its way', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const bytes = someBytes(12 * pieceBytes + 100)
    const digest = await seeder.holds(bytes)
    await using blob = await opened(downloader, digest)
    for (const [start, end] of ranges(bytes.length)) {
      const part = await read(blob, [start, end])
      expect(Buffer.compare(part, bytes.subarray(start, end))).toBe(0)
    }
  })

  it('withholds the last piece until the blob is in the store', async () => {
    const [seeder, downloader] = [await world.node(), await world.node()]
    const bytes = someBytes(5 * pieceBytes)
    const digest = await seeder.holds(bytes)
    await using blob = await opened(downloader, digest)
    let position = 0
    for await (const chunk of blob.chunks(0, blob.size)) {
      position += chunk.length
      if (position > 4 * pieceBytes) expect(await downloader.has(digest)).toBe(true)
    }
    expect(position).toBe(bytes.length)
  })

  it('is shared by its readers, and outlives all but the last', async () => {
    const seeder = await world.node({ limits: { uploadBytesPerSecond: 8 * 1024 * 1024 } })
    const downloader = await world.node()
    const bytes = someBytes(16 * pieceBytes)
    const digest = await seeder.holds(bytes)
    const readers = await Promise.all([1, 2, 3].map(() => opened(downloader, digest)))
    const [leaving, ...staying] = readers
    if (leaving === undefined) throw new Error('three were opened')
    for await (const chunk of leaving.chunks(0, leaving.size)) {
      if (chunk.length > 0) break
    }
    await leaving[Symbol.asyncDispose]()
    const parts = await Promise.all(staying.map((reader) => read(reader)))
    for (const part of parts) expect(Buffer.compare(part, bytes)).toBe(0)
    expect(world.mesh.sentBy(seeder.peer)).toBeLessThan(1.3 * bytes.length)
    for (const reader of staying) await reader[Symbol.asyncDispose]()
  })

  it('stops a while after its last reader has left, keeps the part, and goes on from it', async () => {
    const seeder = await world.node({ limits: { uploadBytesPerSecond: 2 * 1024 * 1024 } })
    const downloader = await world.node()
    const bytes = someBytes(24 * pieceBytes)
    const digest = await seeder.holds(bytes)
    const blob = await opened(downloader, digest)
    await until('a part of it', () => (downloader.exchange.status().transfers[0]?.held ?? 0) > 8)
    await blob[Symbol.asyncDispose]()
    await until('the transfer to stop', () => downloader.exchange.status().transfers.length === 0)
    expect(await downloader.has(digest)).toBe(false)
    const before = world.mesh.sentBy(seeder.peer)
    await using again = await opened(downloader, digest)
    expect(Buffer.compare(await read(again), bytes)).toBe(0)
    expect(world.mesh.sentBy(seeder.peer) - before).toBeLessThan(16 * pieceBytes)
  })

  it('brings each piece about once for a hundred readers that each take a chunk and leave, as containerd does', async () => {
    const seeder = await world.node({ limits: { uploadBytesPerSecond: 16 * 1024 * 1024 } })
    const downloader = await world.node()
    const bytes = someBytes(100 * pieceBytes)
    const digest = await seeder.holds(bytes)
    const chunks = Array.from({ length: 100 }, (_, index) => index * pieceBytes)
    const got = Buffer.alloc(bytes.length)
    const readOn = async (): Promise<void> => {
      for (let start = chunks.shift(); start !== undefined; start = chunks.shift()) {
        await using blob = await opened(downloader, digest)
        let position = start
        // As `bytes=N-` is read, until there is enough.
        for await (const chunk of blob.chunks(start, blob.size)) {
          got.set(chunk.subarray(0, start + pieceBytes - position), position)
          position += chunk.length
          if (position >= start + pieceBytes) break
        }
      }
    }
    await Promise.all(Array.from({ length: 8 }, readOn))
    expect(Buffer.compare(got, bytes)).toBe(0)
    expect(world.mesh.sentBy(seeder.peer)).toBeLessThan(1.25 * bytes.length)
    expect(downloader.blamed).toEqual([])
  })

  it('goes on when a reader comes within the grace time', async () => {
    const seeder = await world.node({ limits: { uploadBytesPerSecond: 4 * 1024 * 1024 } })
    const downloader = await world.node({ limits: { graceMs: 60_000 } })
    const bytes = someBytes(8 * pieceBytes)
    const digest = await seeder.holds(bytes)
    await (await opened(downloader, digest))[Symbol.asyncDispose]()
    await using blob = await opened(downloader, digest)
    expect(Buffer.compare(await read(blob), bytes)).toBe(0)
    expect(world.mesh.sentBy(seeder.peer)).toBeLessThan(1.3 * bytes.length)
  })

  it('prefetches in the background, a few at a time', async () => {
    const seeder = await world.node()
    const downloader = await world.node({ limits: { prefetches: 2 } })
    const digests = await Promise.all(
      Array.from({ length: 6 }, () => seeder.holds(someBytes(3 * pieceBytes))),
    )
    for (const digest of digests) downloader.exchange.prefetch(wanted(digest))
    expect(downloader.exchange.status().transfers.length).toBeLessThanOrEqual(2)
    await until('all of them', async () => {
      const here = await Promise.all(digests.map((digest) => downloader.has(digest)))
      return here.every(Boolean)
    })
  })

  it('begins when a seeder joins while others are asked in vain', async () => {
    const seeder = await world.node()
    const downloader = await world.node()
    const bytes = someBytes(6 * pieceBytes)
    const digest = await seeder.holds(bytes)
    const fetching = downloader.exchange.fetch(wanted(digest))
    const late = await world.node()
    await late.holds(bytes)
    expect(await fetching).toBe(true)
  })

  it('that ends before anyone has answered is of a blob that cannot be had, which is no error', async () => {
    const bytes = someBytes(1000)
    const downloader = await world.node({ limits: { giveUpMs: 100 } })
    double({ mesh: world.mesh, identity: world.identity(), bytes, onWant: async () => undefined })
    expect(await downloader.exchange.fetch(wanted(digestOf(bytes)))).toBe(false)
    expect(await downloader.exchange.open(wanted(digestOf(bytes)))).toBeUndefined()
  })

  it('goes on when the host’s clock is set', async () => {
    const seeder = await world.node({ limits: { uploadBytesPerSecond: 4 * 1024 * 1024 } })
    const downloader = await world.node({ override: { clock: steadyClock } })
    const fetching = downloader.exchange.fetch(wanted(await seeder.holds(someBytes(8 * pieceBytes))))
    await until('a part of it', () => (downloader.exchange.status().transfers[0]?.held ?? 0) > 1)
    const now = Date.now()
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now + 120_000)
    expect(await fetching).toBe(true)
    clock.mockRestore()
  })

  it('keeps to the memory that there is', async () => {
    const seeder = await world.node()
    const memoryBytes = 4 * 1024 * 1024
    let most = 0
    const downloader = await world.node({
      limits: { memoryBytes },
      override: {
        metrics: {
          ...noMetrics,
          count: () => {
            most = Math.max(most, downloader.exchange.status().memoryBytes)
          },
        },
      },
    })
    const digests = await Promise.all(
      Array.from({ length: 12 }, () => seeder.holds(someBytes(9 * pieceBytes))),
    )
    const fetched = await Promise.all(digests.map((digest) => downloader.exchange.fetch(wanted(digest))))
    expect(fetched).toEqual(digests.map(() => true))
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(memoryBytes)
  })
})

function ranges(size: number): [number, number][] {
  return [
    [0, 1],
    [size - 1, size],
    [3 * pieceBytes - 1, 3 * pieceBytes + 1],
    [5 * pieceBytes, 9 * pieceBytes],
    [size, size],
    [0, size],
  ]
}
