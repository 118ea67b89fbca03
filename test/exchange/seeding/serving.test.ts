/** The seeder's side: rotten disks, false complaints, downloaders that break the protocol, and what is told to whom. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'
import {
  type Ask,
  decodeFrame,
  encodeMessage,
  exchangeProtocol,
  type Message,
  maxWants,
} from '../../../src/exchange/protocol/messages.ts'
import { decodePieceList } from '../../../src/exchange/protocol/piece-list.ts'
import { layoutOf, pieceRange } from '../../../src/exchange/protocol/piece-size.ts'
import { maxFrameBytes, type RawFrame } from '../../../src/exchange/protocol/raw-frames.ts'
import { type Digest, parseRepository } from '../../../src/oci/oci.ts'
import type { OpenBlob } from '../../../src/store/store.ts'
import type { BatchChannel } from '../../../src/wire/wire.ts'
import {
  openWorld,
  pieceBytes,
  pieceHashes,
  repository,
  someBytes,
  type TestNode,
  until,
  type World,
  wanted,
} from '../lab/fixture.ts'

describe('a seeder', () => {
  let world: World
  let seeder: TestNode
  let channel: BatchChannel
  beforeEach(async () => {
    world = openWorld()
    seeder = await world.node()
    channel = await connect()
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
  })

  async function connect(): Promise<BatchChannel> {
    const host = world.mesh.host(world.identity().peerId)
    return await host.open(seeder.peer, exchangeProtocol, { maxFrameBytes })
  }

  const ask = async (message: Ask): Promise<void> => await channel.send(encodeMessage(message))

  async function want(digest: Digest, id = 1): Promise<Message | RawFrame> {
    await ask({ type: 'want', id, digest, repository })
    return await heard(channel)
  }

  it('answers what it holds, and its own list of it', async () => {
    const bytes = someBytes(5 * pieceBytes + 3)
    const digest = await seeder.holds(bytes)
    expect(await want(digest)).toEqual({ type: 'complete', id: 1, size: bytes.length })
    await ask({ type: 'ask-list', id: 1 })
    const frame = await heard(channel, 'list')
    if (frame.type !== 'list' || !('bytes' in frame)) throw new Error('a list frame was expected')
    const list = decodePieceList(frame.bytes.subarray(4))
    expect(list.author).toBe(seeder.peer)
    expect(Buffer.compare(list.hashes, pieceHashes(bytes))).toBe(0)
    expect(seeder.lists.has(digest)).toBe(true)
  })

  it('has its list ready some time after a blob came, when there is anyone to ask for it', async () => {
    await world.node()
    const digest = await seeder.holds(someBytes(100))
    await until('the list', () => seeder.lists.has(digest))
  })

  it('tells when what was absent comes', async () => {
    const bytes = someBytes(100)
    const elsewhere = await world.node()
    const digest = await elsewhere.holds(bytes)
    expect(await want(digest)).toEqual({ type: 'absent', id: 1 })
    await seeder.holds(bytes)
    expect(await heard(channel)).toEqual({ type: 'complete', id: 1, size: 100 })
  })

  it('forgets nothing that was asked when what it has whole is said to have changed, and has not', async () => {
    const bytes = someBytes(6 * pieceBytes)
    const digest = await seeder.holds(bytes)
    await want(digest)
    await ask({ type: 'request', id: 1, pieces: [0, 1, 2, 3, 4, 5] })
    seeder.exchange.changed(digest)
    await ask({ type: 'ask-list', id: 1 })
    for (let received = 0, lists = 0; received < bytes.length || lists < 1; ) {
      const frame = await heard(channel)
      if (frame.type === 'list') lists++
      else if (frame.type !== 'data') throw new Error(`data was expected, ${frame.type} came`)
      else {
        received += frame.bytes.length
        await ask({ type: 'got', id: 1, pieces: [frame.piece] })
      }
    }
  })

  it('tells when what it has whole is not for the downloader any more', async () => {
    const digest = await seeder.holds(someBytes(100))
    await want(digest)
    seeder.readers.delete(repository)
    seeder.exchange.changed(digest)
    expect(await heard(channel)).toEqual({ type: 'absent', id: 1 })
  })

  it('sends each piece in order and whole', async () => {
    const bytes = someBytes(2 * pieceBytes + 3)
    await want(await seeder.holds(bytes))
    await ask({ type: 'request', id: 1, pieces: [2, 0, 1] })
    const layout = layoutOf(bytes.length)
    const received = new Map<number, Buffer>()
    while ([...received.values()].reduce((sum, part) => sum + part.length, 0) < bytes.length) {
      const frame = await heard(channel, 'data')
      if (frame.type !== 'data') throw new Error('a data frame was expected')
      const before = received.get(frame.piece) ?? Buffer.alloc(0)
      expect(frame.offset).toBe(before.length)
      received.set(frame.piece, Buffer.concat([before, frame.bytes]))
    }
    for (const [piece, part] of received) {
      const { start, end } = pieceRange(layout, piece)
      expect(Buffer.compare(part, bytes.subarray(start, end))).toBe(0)
    }
  })

  it('sends a piece for each want of one neighbour, also where two are of the same blob', async () => {
    const other = parseRepository('team/other')
    seeder.readers.add(other)
    const digest = await seeder.holds(someBytes(3 * pieceBytes))
    await want(digest, 1)
    await ask({ type: 'want', id: 2, digest, repository: other })
    expect(await heard(channel)).toMatchObject({ type: 'complete', id: 2 })
    const received = new Map<string, number>()
    const all = async (...names: string[]): Promise<void> => {
      while (names.some((name) => received.get(name) !== pieceBytes)) {
        const frame = await heard(channel, 'data')
        if (frame.type !== 'data') throw new Error('a data frame was expected')
        const name = `${frame.id} ${frame.piece}`
        received.set(name, (received.get(name) ?? 0) + frame.bytes.length)
      }
    }
    for (const id of [1, 2]) await ask({ type: 'request', id, pieces: [0] })
    await all('1 0', '2 0')
    for (const id of [1, 2]) await ask({ type: 'got', id, pieces: [0] })
    // The end of one is not that of what the other asked for.
    for (const id of [1, 2]) await ask({ type: 'request', id, pieces: [1] })
    await ask({ type: 'done', id: 1 })
    await ask({ type: 'request', id: 2, pieces: [2] })
    await all('2 1', '2 2')
  })

  it('sends a downloader that says what it got no more than a few pieces ahead', async () => {
    const bytes = someBytes(3 * pieceBytes)
    await want(await seeder.holds(bytes))
    await ask({ type: 'request', id: 1, pieces: [0, 1, 2] })
    const whole = async (): Promise<number> => {
      for (let received = 0; ; ) {
        const frame = await heard(channel)
        if (frame.type !== 'data') throw new Error(`data was expected, ${frame.type} came`)
        received += frame.bytes.length
        if (received === pieceBytes) return frame.piece
      }
    }
    const first = [await whole(), await whole()]
    // What is asked for now is answered before the third piece.
    await ask({ type: 'ask-list', id: 1 })
    expect((await heard(channel)).type).toBe('list')
    await ask({ type: 'got', id: 1, pieces: first.slice(0, 1) })
    expect(first).not.toContain(await whole())
  })

  it('tells of what comes also while it sends', async () => {
    const source = await world.node({ limits: { uploadBytesPerSecond: 512 * 1024 } })
    const digest = await source.holds(someBytes(6 * pieceBytes))
    const fetching = seeder.exchange.fetch(wanted(digest))
    await until('the first piece', () => (seeder.exchange.status().transfers[0]?.held ?? 0) > 0)
    const known = new Set<number>()
    let isComplete = false
    const learn = (answer: Message | RawFrame): void => {
      if (answer.type === 'partial') {
        const held = Bitfield.parse(answer.bitfield, 6)
        for (let piece = 0; piece < 6; piece++) if (held.has(piece)) known.add(piece)
      } else if (answer.type === 'update') {
        for (const piece of answer.pieces) known.add(piece)
      } else if (answer.type === 'complete') isComplete = true
    }
    learn(await want(digest))
    while (known.size === 0) learn(await heard(channel))
    // Never said to be here, so that it goes on being sent.
    await ask({ type: 'request', id: 1, pieces: [...known] })
    const atFirst = known.size
    while (!isComplete) learn(await heard(channel))
    expect(known.size).toBeGreaterThan(atFirst)
    expect(await fetching).toBe(true)
  })

  it('does not tell a peer of what it said it holds, and does once it holds less', async () => {
    const source = await world.node({ limits: { uploadBytesPerSecond: 256 * 1024 } })
    const bytes = someBytes(8 * pieceBytes)
    const digest = await source.holds(bytes)
    const heldThere = (): number => seeder.exchange.status().transfers[0]?.held ?? 0
    const fetching = seeder.exchange.fetch(wanted(digest))
    await until('the first piece', () => heldThere() > 0)
    // Who asks for it is asked, too.
    const asked = await want(digest)
    if (asked.type !== 'want') throw new Error(`want was expected, ${asked.type} came`)
    expect((await heard(channel)).type).toBe('partial')
    const hold = async (): Promise<void> => {
      const bitfield = new Uint8Array([0xff])
      await channel.send(encodeMessage({ type: 'partial', id: asked.id, size: bytes.length, bitfield }))
    }
    // It never sends what it is asked for.
    await hold()
    await until('more pieces', () => heldThere() > 2)
    await channel.send(encodeMessage({ type: 'absent', id: asked.id }))
    const told = await heard(channel, 'partial')
    if (told.type !== 'partial') throw new Error(`partial was expected, ${told.type} came`)
    expect(Bitfield.parse(told.bitfield, 8).held).toBeGreaterThan(2)
    // To say the same once more is not to hold less: nothing is told again.
    await hold()
    const before = heldThere()
    await until('two more pieces', () => heldThere() >= before + 2 || heldThere() === 0)
    await hold()
    const rest = new Set<string>()
    while (!rest.has('complete')) rest.add((await heard(channel)).type)
    expect([...rest]).not.toContain('partial')
    expect(await fetching).toBe(true)
  })

  it('says that it lives while requests wait', async () => {
    const slow = await world.node({ limits: { uploadBytesPerSecond: 100_000 } })
    const digest = await slow.holds(someBytes(4 * pieceBytes))
    const to = await world.mesh
      .host(world.identity().peerId)
      .open(slow.peer, exchangeProtocol, { maxFrameBytes })
    await to.send(encodeMessage({ type: 'want', id: 1, digest, repository }))
    await heard(to, 'complete')
    await to.send(encodeMessage({ type: 'request', id: 1, pieces: [0, 1, 2, 3] }))
    expect((await heard(to, 'alive')).type).toBe('alive')
  })

  it('tells of others that ask for the same', async () => {
    const digest = await seeder.holds(someBytes(100))
    await want(digest)
    const identity = world.identity()
    const second = await world.mesh
      .host(identity.peerId)
      .open(seeder.peer, exchangeProtocol, { maxFrameBytes })
    await second.send(encodeMessage({ type: 'want', id: 7, digest, repository }))
    expect(await heard(second, 'others')).toMatchObject({ id: 7, peers: [expect.any(Uint8Array)] })
  })

  it('looks again at a piece that is called wrong, and counts the complaint when it is right', async () => {
    const digest = await seeder.holds(someBytes(3 * pieceBytes))
    await want(digest)
    await ask({ type: 'bad', id: 1, piece: 1 })
    await until('the complaint to be counted', () =>
      seeder.exchange.status().peers.some(({ faults }) => faults['false-complaint'] === 1),
    )
    expect(seeder.rotten).toEqual([])
    expect(seeder.blamed).toEqual([])
  })

  it('gives up a blob that has rotted on its disk, tells everyone, and serves it again once it is mended', async () => {
    const bytes = someBytes(3 * pieceBytes)
    const rot = { piece: -1 }
    seeder = await world.node({ override: {} })
    const blobs = rotting(seeder, rot)
    const rotten = await world.node({ override: { blobs } })
    rotten.lists.clear()
    const digest = await seeder.holds(bytes)
    const to = await world.mesh
      .host(world.identity().peerId)
      .open(rotten.peer, exchangeProtocol, { maxFrameBytes })
    await rotten.holds(bytes)
    await to.send(encodeMessage({ type: 'want', id: 1, digest, repository }))
    await heard(to, 'complete')
    await to.send(encodeMessage({ type: 'ask-list', id: 1 }))
    await heard(to, 'list')
    rot.piece = 1
    await to.send(encodeMessage({ type: 'bad', id: 1, piece: 1 }))
    expect(await heard(to, 'lost')).toEqual({ type: 'lost', id: 1, pieces: [1] })
    expect(await heard(to, 'absent')).toEqual({ type: 'absent', id: 1 })
    await until('the store to be told', () => rotten.rotten.length === 1)
    expect([...rotten.withdrawn]).toEqual([digest])
    rot.piece = -1
    rotten.exchange.changed(digest)
    expect(await heard(to, 'complete')).toMatchObject({ id: 1 })
  })

  it('does not take for rot what the system cannot read just now', async () => {
    const bytes = someBytes(3 * pieceBytes)
    const refusing = { code: '' }
    const { store } = seeder
    const open = async (digest: Digest): Promise<OpenBlob | undefined> => {
      const { code } = refusing
      if (code !== '') throw Object.assign(new Error(code), { code, syscall: 'open' })
      return await store.blobs.open(digest)
    }
    const node = await world.node({ override: { blobs: { ...store.blobs, open } } })
    const digest = await seeder.holds(bytes)
    await node.holds(bytes)
    const to = await world.mesh
      .host(world.identity().peerId)
      .open(node.peer, exchangeProtocol, { maxFrameBytes })
    await to.send(encodeMessage({ type: 'want', id: 1, digest, repository }))
    await heard(to, 'complete')
    await to.send(encodeMessage({ type: 'ask-list', id: 1 }))
    await heard(to, 'list')
    refusing.code = 'EMFILE'
    node.exchange.changed(digest)
    await to.send(encodeMessage({ type: 'bad', id: 1, piece: 1 }))
    expect(await heard(to, 'lost')).toEqual({ type: 'lost', id: 1, pieces: [1] })
    await until('the store to be told', () => node.rotten.length === 1)
    expect(node.lists.has(digest)).toBe(true)
    expect(node.exchange.status().peers.some(({ faults }) => 'false-complaint' in faults)).toBe(false)
    refusing.code = ''
    node.exchange.changed(digest)
    expect(await heard(to, 'complete')).toMatchObject({ id: 1 })
  })

  it('does not let a rotten disk cost the downloader more than another seeder', async () => {
    const bytes = someBytes(10 * pieceBytes)
    const rot = { piece: -1 }
    const rotten = await world.node({ override: { blobs: rotting(seeder, rot) } })
    const digest = await seeder.holds(bytes)
    await rotten.holds(bytes)
    // Its list is from before.
    const early = await world.node()
    expect(await early.exchange.fetch(wanted(digest))).toBe(true)
    rot.piece = 3
    const downloader = await world.node()
    expect(await downloader.exchange.fetch(wanted(digest))).toBe(true)
    expect(downloader.blamed.filter(({ peer }) => peer !== rotten.peer)).toEqual([])
  })

  it.each<[string, (digest: Digest) => Ask[]]>([
    ['opens a want twice', (digest) => [openWant(1, digest), openWant(1, digest)]],
    [
      'opens too many wants',
      (digest) => Array.from({ length: maxWants + 1 }, (_, id) => openWant(id, digest)),
    ],
    [
      'asks for pieces that there are not',
      (digest) => [openWant(1, digest), { type: 'request', id: 1, pieces: [9] }],
    ],
    [
      'complains of a piece that there is not',
      (digest) => [openWant(1, digest), { type: 'bad', id: 1, piece: 9 }],
    ],
  ])('ends the channel of a downloader that %s', async (_, asks) => {
    const digest = await seeder.holds(someBytes(100))
    for (const message of asks(digest)) await ask(message)
    await expect(drain(channel)).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
  })

  it('ends the channel of a downloader that asks without end', async () => {
    const flood = (async () => {
      for (;;) await ask({ type: 'done', id: 1 })
    })()
    await expect(flood).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
  })

  it('does not let a downloader that takes nothing keep others from being served', async () => {
    const digest = await seeder.holds(someBytes(40 * pieceBytes))
    const stuck: BatchChannel[] = []
    for (let count = 0; count < 4; count++) {
      const to = await connect()
      await to.send(encodeMessage({ type: 'want', id: 1, digest, repository }))
      await heard(to, 'complete')
      await to.send(encodeMessage({ type: 'request', id: 1, pieces: [0, 1, 2, 3], urgent: 1 }))
      stuck.push(to)
    }
    const downloader = await world.node()
    expect(await downloader.exchange.fetch(wanted(digest))).toBe(true)
    for (const to of stuck) to.abort(new Error('over'))
  })

  it('does not let six that take a little now and then keep others from being served', async () => {
    const digest = await seeder.holds(someBytes(40 * pieceBytes))
    const over = new AbortController()
    const dripping: Promise<void>[] = []
    for (let count = 0; count < 6; count++) {
      const to = await connect()
      await to.send(encodeMessage({ type: 'want', id: 1, digest, repository }))
      await heard(to, 'complete')
      await to.send(encodeMessage({ type: 'request', id: 1, pieces: [0, 1, 2, 3, 4, 5], urgent: 1 }))
      dripping.push(drip(to, over.signal))
    }
    const downloader = await world.node()
    const began = world.clock.now()
    expect(await downloader.exchange.fetch(wanted(digest))).toBe(true)
    expect(world.clock.now() - began).toBeLessThan(8000)
    over.abort(new Error('over'))
    await Promise.all(dripping)
  })

  it('gives a member that it has known for long a place, though as many as there are belong to new keys', async () => {
    const known = await world.node()
    const digest = await seeder.holds(someBytes(40 * pieceBytes))
    const strange: BatchChannel[] = []
    for (let count = 0; count < 12; count++) {
      const to = await connect()
      await to.send(encodeMessage({ type: 'want', id: 1, digest, repository }))
      await heard(to, 'complete')
      await to.send(encodeMessage({ type: 'request', id: 1, pieces: [count], urgent: 1 }))
      strange.push(to)
    }
    const to = await world.mesh.host(known.peer).open(seeder.peer, exchangeProtocol, { maxFrameBytes })
    await to.send(encodeMessage({ type: 'want', id: 1, digest, repository }))
    const answers: string[] = []
    while (answers.length < 2) answers.push((await heard(to)).type)
    expect(answers).toEqual(['complete', 'others'])
    const busy = await Promise.any(strange.map(async (each) => await heard(each, 'busy')))
    expect(busy).toMatchObject({ type: 'busy', id: 1 })
    for (const each of [...strange, to]) each.abort(new Error('over'))
  })

  it('answers whoever asks for the list of what it does not hold, and ignores all else', async () => {
    const digest = await (await world.node()).holds(someBytes(100))
    await want(digest)
    await ask({ type: 'request', id: 1, pieces: [0] })
    await ask({ type: 'ask-list', id: 1 })
    expect(await heard(channel)).toEqual({ type: 'no-list', id: 1 })
    await ask({ type: 'cancel', id: 3, pieces: [0] })
    await ask({ type: 'done', id: 1 })
    expect(await want(digest, 2)).toEqual({ type: 'absent', id: 2 })
  })
})

function openWant(id: number, digest: Digest): Ask {
  return { type: 'want', id, digest, repository }
}

/** The next message, or the next of a type. */
async function heard(channel: BatchChannel, type?: string): Promise<Message | RawFrame> {
  for (;;) {
    const frame = await channel.receive({ signal: AbortSignal.timeout(30_000) })
    if (frame === undefined) throw new Error('the channel ended')
    const answer = decodeFrame(frame)
    if (type === undefined || answer.type === type) return answer
  }
}

async function drain(channel: BatchChannel): Promise<void> {
  while ((await channel.receive({ signal: AbortSignal.timeout(30_000) })) !== undefined);
}

/** Takes a frame just before it would count as one that takes nothing, and says what it got. */
async function drip(channel: BatchChannel, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const frame = await channel.receive()
    const data = frame === undefined ? undefined : decodeFrame(frame)
    if (data?.type !== 'data') continue
    await channel.send(encodeMessage({ type: 'got', id: 1, pieces: [data.piece] }))
    // The slowness is what is tested.
    await delay(400)
  }
  channel.abort(new Error('over'))
}

/** The store of the node, with one piece of every blob other than it was. */
function rotting({ store }: TestNode, rot: { piece: number }): TestNode['store']['blobs'] {
  return {
    ...store.blobs,
    open: async (digest) => {
      const blob = await store.blobs.open(digest)
      return blob === undefined ? undefined : rottenBlob(blob, rot)
    },
  }
}

function rottenBlob(blob: OpenBlob, rot: { piece: number }): OpenBlob {
  return {
    size: blob.size,
    async *chunks(start, end, options) {
      let position = start
      for await (const chunk of blob.chunks(start, end, options)) {
        const copy = chunk.slice()
        const at = rot.piece * pieceBytes - position
        if (at >= 0 && at < copy.length) copy[at] = (copy[at] ?? 0) ^ 1
        position += chunk.length
        yield copy
      }
    },
    [Symbol.asyncDispose]: async () => await blob[Symbol.asyncDispose](),
  }
}
