/** Peers that fail or attack: what each costs, what it is called, and that nothing wrong reaches a reader or a digest's name. */
import { setTimeout as delay, setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/base.ts'
import type { Fault } from '../../src/exchange/peer/faults.ts'
import { packLists } from '../../src/exchange/protocol/list-pack.ts'
import { encodeMessage } from '../../src/exchange/protocol/messages.ts'
import { pieceHashBytes, prefixOf, signPieceList } from '../../src/exchange/protocol/piece-list.ts'
import { layoutOf, maxBlobBytes } from '../../src/exchange/protocol/piece-size.ts'
import { encodeData, listFrames } from '../../src/exchange/protocol/raw-frames.ts'
import type { Channel } from '../../src/wire/wire.ts'
import { type DoubleOptions, double, sendPiece } from './lab/double.ts'
import {
  digestOf,
  openWorld,
  pieceBytes,
  pieceHashes,
  read,
  someBytes,
  type TestNode,
  until,
  type World,
  wanted,
} from './lab/fixture.ts'
import { TestOrigin } from './lab/test-delegation.ts'

const pieces = 12
/** What a fault may cost, and some for the blob itself. */
const soonMs = 500 + 400

describe('a peer that', () => {
  let world: World
  let downloader: TestNode
  let honest: TestNode
  let bytes: Uint8Array
  let digest: ReturnType<typeof digestOf>

  beforeEach(async () => {
    world = openWorld()
    bytes = someBytes(pieces * pieceBytes)
    digest = digestOf(bytes)
    downloader = await world.node()
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
  })

  /** A hostile member, which is found first, and an honest seeder. */
  async function besides(options: Partial<DoubleOptions>): Promise<ReturnType<typeof double>> {
    const hostile = double({ mesh: world.mesh, identity: world.identity(), bytes, ...options })
    honest = await world.node()
    await honest.holds(bytes)
    return hostile
  }

  async function fetched(): Promise<number> {
    const began = world.clock.now()
    const blob = await downloader.exchange.open(wanted(digest))
    if (blob === undefined) throw new Error('nobody has it')
    expect(Buffer.compare(await read(blob), bytes)).toBe(0)
    await blob[Symbol.asyncDispose]()
    expect(await downloader.has(digest)).toBe(true)
    return world.clock.now() - began
  }

  function faultsOf(peer: string): Partial<Record<Fault, number>> {
    return downloader.exchange.status().peers.find((known) => known.peer === peer)?.faults ?? {}
  }

  it('sends wrong bytes is told so, blamed, and not asked again', async () => {
    const wrong = someBytes(bytes.length)
    const hostile = await besides({
      onPiece: async (id, piece, { channel }) => {
        await sendPiece(channel, id, piece, wrong.subarray(piece * pieceBytes, (piece + 1) * pieceBytes))
      },
    })
    expect(await fetched()).toBeLessThan(soonMs)
    expect(faultsOf(hostile.peer)).toMatchObject({ 'wrong-bytes': 1 })
    expect(downloader.blamed).toEqual([{ peer: hostile.peer, misconduct: 'wrong-bytes' }])
    expect(hostile.asked.map(({ type }) => type)).toContain('bad')
  })

  it('signs a list of other bytes and serves what matches it is convicted by the digest, and by nothing else', async () => {
    const wrong = someBytes(bytes.length)
    const hostile = double({ mesh: world.mesh, identity: world.identity(), bytes: wrong, digest })
    const blob = await downloader.exchange.open(wanted(digest))
    if (blob === undefined) throw new Error('the double has it')
    let given = 0
    const reading = (async () => {
      for await (const chunk of blob.chunks(0, blob.size)) given += chunk.length
    })()
    await expect(reading).rejects.toMatchObject({ code: 'BLOB_UNPROVEN' })
    expect(given).toBeLessThanOrEqual((pieces - 1) * pieceBytes)
    await blob[Symbol.asyncDispose]()
    expect(downloader.blamed).toEqual([{ peer: hostile.peer, misconduct: 'lying-list' }])
    expect(await downloader.has(digest)).toBe(false)
    honest = await world.node()
    await honest.holds(bytes)
    await until('the transfer to stop', () => downloader.exchange.status().transfers.length === 0)
    await fetched()
    expect(downloader.blamed).toHaveLength(1)
  })

  /** Says that it has all of another blob, and signs that as a section. */
  function signsSections(): ReturnType<typeof double> {
    const identity = world.identity()
    const wrong = someBytes(bytes.length)
    const hashes = pieceHashes(wrong)
    const after = prefixOf({ hashes }, 0)
    const section = packLists([signPieceList({ digest, size: bytes.length, hashes, after }, identity)])
    return double({
      mesh: world.mesh,
      identity,
      bytes: wrong,
      digest,
      onList: async (id, { channel }) => await sendAll(channel, listFrames(id, section)),
    })
  }

  it('signs sections of another blob and vouches for nothing keeps nobody from it, be there two of them or five', async () => {
    for (let liars = 0; liars < 5; liars++) signsSections()
    honest = await world.node()
    await honest.holds(bytes)
    expect(await downloader.exchange.fetch(wanted(digest))).toBe(true)
    expect(await downloader.has(digest)).toBe(true)
    expect(downloader.blamed.map(({ peer }) => peer)).not.toContain(honest.peer)
  })

  it('signs sections of another blob, as do others, ends no transfer of what a member brings from its origin', async () => {
    let wrong = 0
    const logger = {
      ...silentLogger,
      warn(_: object, what: string) {
        if (what.includes('not the blob’s')) wrong++
      },
    }
    const victim = await world.node({ override: { logger } })
    const bringing = await world.node({ limits: { stallMs: 60_000 } })
    const origin = new TestOrigin(bytes)
    origin.gate = 3 * pieceBytes
    const stop = new AbortController()
    const brought = bringing.exchange.fetchFromOrigin(wanted(digest), origin, { signal: stop.signal })
    await until('it to be known', () => (bringing.exchange.status().transfers[0]?.held ?? 0) > 0)
    for (let liars = 0; liars < 3; liars++) signsSections()
    const fetching = victim.exchange.fetch(wanted(digest))
    await until('it to be wrong twice', () => wrong >= 2)
    await world.clock.sleep(200)
    origin.let(bytes.length)
    expect(await Promise.all([fetching, brought])).toEqual([true, true])
    expect(victim.blamed.map(({ peer }) => peer)).not.toContain(bringing.peer)
  })

  it('passes on a list that a liar signed is not convicted of the lie', async () => {
    const wrong = someBytes(bytes.length)
    const liar = world.identity()
    const lie = signPieceList({ digest, size: bytes.length, hashes: pieceHashes(wrong) }, liar)
    double({
      mesh: world.mesh,
      identity: world.identity(),
      bytes: wrong,
      digest,
      onList: async (id, { channel }) => {
        for (const frame of listFrames(id, packLists([lie]))) await channel.send(frame)
      },
    })
    const fetching = downloader.exchange.fetch(wanted(digest))
    await until('the conviction', () => downloader.blamed.length > 0)
    expect(downloader.blamed).toEqual([{ peer: liar.peerId, misconduct: 'lying-list' }])
    honest = await world.node()
    await honest.holds(bytes)
    expect(await fetching).toBe(true)
    expect(await downloader.has(digest)).toBe(true)
  })

  it('signs a list that matches nothing does not get honest seeders convicted', async () => {
    const hostile = await besides({ hashes: pieceHashes(someBytes(bytes.length)) })
    expect(await fetched()).toBeLessThan(soonMs)
    expect(downloader.blamed.filter(({ peer }) => peer !== hostile.peer)).toEqual([])
    expect(downloader.blamed.map(({ peer }) => peer)).toContain(hostile.peer)
  })

  it.each<[string, Partial<DoubleOptions>]>([
    [
      'sends bytes that are no list',
      { onList: async (id, { channel }) => await sendAll(channel, listFrames(id, someBytes(400))) },
    ],
    [
      'sends a list that is longer than any for this size',
      { onList: async (id, { channel }) => await sendAll(channel, listFrames(id, someBytes(100_000))) },
    ],
    [
      'sends a list of another blob',
      {
        onList: async (id, { channel }) => {
          const other = someBytes(12 * pieceBytes)
          const list = { digest: digestOf(other), size: other.length, hashes: pieceHashes(other) }
          const signed = packLists([signPieceList(list, openWorld().identity())])
          await sendAll(channel, listFrames(id, signed))
        },
      },
    ],
    ['never sends its list', { onList: async () => undefined }],
    [
      'says that it has no list',
      { onList: async (id, { channel }) => await channel.send(encodeMessage({ type: 'no-list', id })) },
    ],
  ])('%s costs little', async (_, options) => {
    const hostile = await besides(options)
    expect(await fetched()).toBeLessThan(soonMs)
    expect(downloader.blamed.filter(({ peer }) => peer !== hostile.peer)).toEqual([])
  })

  it.each<[string, Fault, Partial<DoubleOptions>]>([
    [
      'sends endless updates',
      'protocol',
      {
        onWant: async (id, { channel, signal }) => {
          const bitfield = new Uint8Array(2)
          bitfield[0] = 0x80
          await channel.send(encodeMessage({ type: 'partial', id, size: 12 * pieceBytes, bitfield }))
          await flood(channel, encodeMessage({ type: 'update', id, pieces: [0] }), signal)
        },
      },
    ],
    [
      'sends endless bitfields',
      'protocol',
      {
        onWant: async (id, { channel, signal }) => {
          const bitfield = new Uint8Array(2)
          bitfield[0] = 0x80
          const again = encodeMessage({ type: 'partial', id, size: 12 * pieceBytes, bitfield })
          await flood(channel, again, signal)
        },
      },
    ],
    [
      'says endlessly that it lives',
      'protocol',
      {
        onWant: async (_id, { channel, signal }) => {
          await flood(channel, encodeMessage({ type: 'alive' }), signal)
        },
      },
    ],
    [
      'names pieces that there are not',
      'protocol',
      {
        onWant: async (id, { channel }) => {
          await channel.send(encodeMessage({ type: 'complete', id, size: 1000 }))
          await channel.send(encodeMessage({ type: 'update', id, pieces: [1] }))
        },
      },
    ],
    [
      'changes its mind about the size',
      'protocol',
      {
        onWant: async (id, { channel }) => {
          await channel.send(encodeMessage({ type: 'complete', id, size: 1000 }))
          await channel.send(encodeMessage({ type: 'complete', id, size: 1001 }))
        },
      },
    ],
    [
      'sends what nobody asked for',
      'protocol',
      {
        onWant: async (id, { channel, signal }) => {
          const frame = encodeData({ id, piece: 0, offset: 0, bytes: someBytes(30_000) })
          await flood(channel, frame, signal)
        },
      },
    ],
    [
      'sends a piece with a gap',
      'protocol',
      {
        onPiece: async (id, piece, { channel }) => {
          await channel.send(encodeData({ id, piece, offset: 0, bytes: someBytes(30_000) }))
          await channel.send(encodeData({ id, piece, offset: 200_000, bytes: someBytes(1000) }))
        },
      },
    ],
    [
      'sends more than the piece has',
      'protocol',
      {
        onPiece: async (id, piece, { channel }) => {
          await channel.send(encodeData({ id, piece, offset: 0, bytes: someBytes(200_000) }))
          await channel.send(encodeData({ id, piece, offset: 200_000, bytes: someBytes(200_000) }))
        },
      },
    ],
    [
      'sends a piece in a thousand frames',
      'protocol',
      {
        onPiece: async (id, piece, { channel }) => {
          for (let offset = 0; offset < pieceBytes; offset += 256) {
            await channel.send(encodeData({ id, piece, offset, bytes: someBytes(256) }))
          }
        },
      },
    ],
    [
      'sends tiny frames that nobody asked for',
      'protocol',
      {
        onWant: async (id, { channel, signal }) => {
          await flood(channel, encodeData({ id, piece: 0, offset: 0, bytes: someBytes(1) }), signal)
        },
      },
    ],
    [
      'sends its list in a thousand frames',
      'protocol',
      {
        onList: async (id, { channel }) => {
          const list = packLists([
            signPieceList(
              { digest: digestOf(someBytes(9)), size: 12 * pieceBytes, hashes: someBytes(384) },
              openWorld().identity(),
            ),
          ])
          for (let offset = 0; offset < list.length; offset++) {
            await channel.send(
              Buffer.concat([
                Uint8Array.of(
                  2,
                  0,
                  id >> 8,
                  id & 0xff,
                  0,
                  0,
                  list.length >> 8,
                  list.length & 0xff,
                  0,
                  0,
                  offset >> 8,
                  offset & 0xff,
                ),
                list.subarray(offset, offset + 1),
              ]),
            )
          }
        },
      },
    ],
    [
      'closes in the middle of a piece',
      'broken',
      {
        onPiece: async (id, piece, { channel }) => {
          await channel.send(encodeData({ id, piece, offset: 0, bytes: someBytes(30_000) }))
          channel.abort(new Error('gone'))
        },
      },
    ],
    [
      'sends bytes that are no message',
      'protocol',
      { onWant: async (_id, { channel }) => await channel.send(Uint8Array.of(0xff, 0xff)) },
    ],
  ])('%s is called what it is', async (_, fault, options) => {
    const hostile = await besides(options)
    expect(await fetched()).toBeLessThan(soonMs)
    await until('the fault to be counted', () => (faultsOf(hostile.peer)[fault] ?? 0) > 0)
    expect(downloader.blamed.filter(({ peer }) => peer !== hostile.peer)).toEqual([])
  })

  it.each<[string, Partial<DoubleOptions>]>([
    ['is silent from the start', { onWant: async () => undefined }],
    ['is silent when asked for pieces', { onPiece: async () => undefined }],
    [
      'sends a byte now and then',
      {
        onPiece: async (id, piece, { channel, signal }) => {
          for (let offset = 0; !signal.aborted; offset++) {
            await channel.send(encodeData({ id, piece, offset, bytes: Uint8Array.of(1) }))
            await delay(100, undefined, { signal })
          }
        },
      },
    ],
    [
      'is alive and sends nothing',
      {
        onPiece: async (_id, _piece, { channel, signal }) => {
          while (!signal.aborted) {
            await channel.send(encodeMessage({ type: 'alive' }))
            await delay(100, undefined, { signal })
          }
        },
      },
    ],
    [
      'is always busy',
      {
        onPiece: async (id, _piece, { channel }) => {
          await channel.send(encodeMessage({ type: 'busy', id, retryAfterMs: 60_000 }))
        },
      },
    ],
    [
      'tells of other sizes',
      {
        onWant: async (id, { channel }) => {
          await channel.send(encodeMessage({ type: 'complete', id, size: maxBlobBytes }))
        },
        onList: async () => undefined,
      },
    ],
  ])('%s does not hold up the others', async (_, options) => {
    await besides(options)
    expect(await fetched()).toBeLessThan(soonMs)
  })

  /** Claims `size` bytes, and signs a list for them that matches nothing. */
  function claim(size: number): Partial<DoubleOptions> {
    const hashes = new Uint8Array(layoutOf(size).count * 32)
    const list = signPieceList({ digest, size, hashes }, world.identity())
    return {
      onWant: async (id, { channel }) => await channel.send(encodeMessage({ type: 'complete', id, size })),
      onList: async (id, { channel }) => await sendAll(channel, listFrames(id, packLists([list]))),
    }
  }

  it('claims to have what nobody has does not make it be there', async () => {
    double({ mesh: world.mesh, identity: world.identity(), bytes, ...claim(2 ** 40) })
    expect(await downloader.exchange.find(wanted(digest), { withinMs: 300 })).toBeUndefined()
  })

  it('claims a size that the disk has no room for does not keep what has room from being had', async () => {
    downloader.partials.capacity = 2 ** 30
    await besides(claim(90 * 2 ** 30))
    expect(await fetched()).toBeLessThan(soonMs)
  })

  it('alone claims a size that the disk has no room for has nobody told that the disk is full', async () => {
    downloader.partials.capacity = 2 ** 30
    double({ mesh: world.mesh, identity: world.identity(), bytes, ...claim(90 * 2 ** 30) })
    await expect(downloader.exchange.open(wanted(digest))).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' })
  })

  it.each([
    ['and sends what matches it', true],
    ['and sends nothing', false],
  ])('signs one false hash %s has no honest seeder blamed for it', async (_, isSending) => {
    const wrong = bytes.slice()
    wrong.set(someBytes(pieceBytes), 7 * pieceBytes)
    const hostile = await besides({
      hashes: pieceHashes(wrong),
      onPiece: async (id, piece, { channel }) => {
        if (!isSending) return
        await sendPiece(channel, id, piece, wrong.subarray(piece * pieceBytes, (piece + 1) * pieceBytes))
      },
    })
    const second = await world.node()
    await second.holds(bytes)
    expect(await downloader.exchange.fetch(wanted(digest))).toBe(true)
    expect(downloader.blamed.filter(({ peer }) => peer !== hostile.peer)).toEqual([])
    expect(faultsOf(honest.peer)).toEqual({})
    expect(faultsOf(second.peer)).toEqual({})
  })

  it('drips under a list of its own does not hold up what others have', async () => {
    await besides({
      hashes: pieceHashes(someBytes(bytes.length)),
      onPiece: async (id, piece, { channel, signal }) => {
        for (let offset = 0; !signal.aborted; offset++) {
          await channel.send(encodeData({ id, piece, offset, bytes: Uint8Array.of(1) }))
          await delay(350, undefined, { signal })
        }
      },
    })
    expect(await fetched()).toBeLessThan(2 * soonMs)
  })

  it('drips under a size of its own does not hold up what others have', async () => {
    await besides({
      ...claim(2 * bytes.length),
      onPiece: async (id, piece, { channel, signal }) => {
        for (let offset = 0; !signal.aborted; offset++) {
          await channel.send(encodeData({ id, piece, offset, bytes: Uint8Array.of(1) }))
          await delay(350, undefined, { signal })
        }
      },
    })
    expect(await fetched()).toBeLessThan(2 * soonMs)
  })

  it('gives one piece after the other of a list of its own, but slowly, does not hold up what others have', async () => {
    const wrong = someBytes(bytes.length)
    await besides({
      hashes: pieceHashes(wrong),
      onPiece: async (id, piece, { channel, signal }) => {
        await delay(400, undefined, { signal })
        await sendPiece(channel, id, piece, wrong.subarray(piece * pieceBytes, (piece + 1) * pieceBytes))
      },
    })
    expect(await downloader.exchange.fetch(wanted(digest))).toBe(true)
    expect(downloader.blamed.filter(({ peer }) => peer === honest.peer)).toEqual([])
  })

  it('drips and is the only one that has it is given up in the end', async () => {
    const short = await world.node({ limits: { giveUpMs: 1000 } })
    double({
      mesh: world.mesh,
      identity: world.identity(),
      bytes,
      onPiece: async (id, piece, { channel, signal }) => {
        for (let offset = 0; !signal.aborted; offset++) {
          await channel.send(encodeData({ id, piece, offset, bytes: Uint8Array.of(1) }))
          await delay(350, undefined, { signal })
        }
      },
    })
    expect(await short.exchange.fetch(wanted(digest))).toBe(false)
  })

  /** Its list, one piece at a time. */
  function dripsItsList(of: Uint8Array): Partial<DoubleOptions> {
    const identity = world.identity()
    const hashes = pieceHashes(of)
    let told = 0
    return {
      identity,
      onList: async (id, { channel }) => {
        const after = prefixOf({ hashes }, told)
        const section = hashes.subarray(told * pieceHashBytes, (told + 1) * pieceHashBytes)
        if (told < pieces - 2) told++
        const list = signPieceList({ digest, size: of.length, hashes: section, after }, identity)
        await sendAll(channel, listFrames(id, packLists([list])))
      },
    }
  }

  it('tells its list piece by piece does not hold up what others have', async () => {
    await besides(dripsItsList(bytes))
    expect(await fetched()).toBeLessThan(soonMs)
  })

  it('tells its list piece by piece, never of what is wanted, and is alone, is given up in the end', async () => {
    const short = await world.node({ limits: { giveUpMs: 300 } })
    double({ mesh: world.mesh, identity: world.identity(), bytes, ...dripsItsList(bytes) })
    const ranges = (size: number) => [{ start: size - 1, end: size }]
    await expect(short.exchange.open(wanted(digest), { ranges })).rejects.toThrow(/nothing came/)
  })

  it('never sends its list keeps nobody else from being asked, however many of its kind there are', async () => {
    for (let count = 0; count < 6; count++) {
      double({ mesh: world.mesh, identity: world.identity(), bytes, onList: async () => undefined })
    }
    await besides({ onList: async () => undefined })
    expect(await fetched()).toBeLessThan(2 * soonMs)
  })

  it.each<[string, Partial<DoubleOptions>]>([
    ['and no list', { onList: async () => undefined }],
    ['and the list, but no piece', { onPiece: async () => undefined }],
    [
      'and the list, and that it lives',
      {
        onPiece: async (_id, _piece, { channel, signal }) => {
          while (!signal.aborted) {
            await channel.send(encodeMessage({ type: 'alive' }))
            await delay(100, undefined, { signal })
          }
        },
      },
    ],
  ])(
    'says that it has all %s keeps nobody else from being a neighbour, however many of its kind there are',
    async (_, options) => {
      const victim = await world.node({ override: { random: () => 0 } })
      for (let count = 0; count < 64; count++) {
        double({ mesh: world.mesh, identity: world.identity(), bytes, ...options })
      }
      honest = await world.node()
      await honest.holds(bytes)
      const began = world.clock.now()
      expect(await victim.exchange.fetch(wanted(digest))).toBe(true)
      // Ten at a time, each for as long as a neighbour is given otherwise, would be more than three times that.
      expect(world.clock.now() - began).toBeLessThan(10 * soonMs)
      expect(victim.blamed).toEqual([])
    },
  )

  it('lied costs nothing of what a restart goes on with', async () => {
    const wrong = someBytes(bytes.length)
    double({ mesh: world.mesh, identity: world.identity(), bytes: wrong, digest })
    const fetching = downloader.exchange.fetch(wanted(digest))
    await until('the conviction', () => downloader.blamed.length > 0)
    const { lists } = downloader
    expect(lists.has(digest)).toBe(false)
    honest = await world.node({ limits: { uploadBytesPerSecond: 4 * 1024 * 1024 } })
    await honest.holds(bytes)
    const held = (): number => downloader.exchange.status().transfers[0]?.held ?? 0
    await until('a part of it', async () => held() > 0 || (await downloader.has(digest)))
    expect(lists.has(digest)).toBe(true)
    expect(await fetching).toBe(true)
  })

  it('is killed costs nothing while another seeder lives', async () => {
    const first = await world.node({ limits: { uploadBytesPerSecond: 1024 * 1024 } })
    const second = await world.node({ limits: { uploadBytesPerSecond: 1024 * 1024 } })
    await first.holds(bytes)
    await second.holds(bytes)
    const fetching = fetched()
    await until('a part of it', () => (downloader.exchange.status().transfers[0]?.held ?? 0) > 3)
    world.mesh.kill(first.peer)
    await fetching
    expect(faultsOf(first.peer)).toMatchObject({ broken: 1 })
  })

  it('was the last seeder is waited for, and given up in the end', async () => {
    const short = await world.node({ limits: { giveUpMs: 300 } })
    const only = await world.node({ limits: { uploadBytesPerSecond: 1024 * 1024 } })
    await only.holds(bytes)
    const blob = await short.exchange.open(wanted(digest))
    if (blob === undefined) throw new Error('it is held')
    await until('a part of it', () => (short.exchange.status().transfers[0]?.held ?? 0) > 3)
    world.mesh.kill(only.peer)
    await expect(read(blob)).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' })
    await blob[Symbol.asyncDispose]()
    const next = await world.node()
    await next.holds(bytes)
    expect(await short.exchange.fetch(wanted(digest))).toBe(true)
    expect(world.mesh.sentBy(next.peer)).toBeLessThan((pieces - 3) * pieceBytes)
  })

  it('has a full disk is told, and keeps what it had', async () => {
    honest = await world.node()
    await honest.holds(bytes)
    downloader.partials.room = 5
    const blob = await downloader.exchange.open(wanted(digest))
    if (blob === undefined) throw new Error('it is held')
    await expect(read(blob)).rejects.toMatchObject({ code: 'STORE_FULL' })
    await blob[Symbol.asyncDispose]()
    await until('the transfer to end', () => downloader.exchange.status().transfers.length === 0)
    downloader.partials.room = Number.POSITIVE_INFINITY
    await fetched()
    expect(downloader.blamed).toEqual([])
  })
})

/** Yields in between, because attacker and victim share one thread here. */
async function flood(channel: Channel, frame: Uint8Array, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await channel.send(frame)
    await setImmediate()
  }
}

async function sendAll(channel: Channel, frames: Iterable<Uint8Array>): Promise<void> {
  for (const frame of frames) await channel.send(frame)
}

it('is an honest double that the hostile ones are made of', async () => {
  await using world = openWorld()
  const downloader = await world.node()
  const bytes = someBytes(3 * pieceBytes + 5)
  double({ mesh: world.mesh, identity: world.identity(), bytes })
  expect(layoutOf(bytes.length).count).toBe(4)
  expect(await downloader.exchange.fetch(wanted(digestOf(bytes)))).toBe(true)
  expect(downloader.blamed).toEqual([])
})
