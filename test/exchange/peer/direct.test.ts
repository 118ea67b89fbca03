/** Direct connections: taken early where they are reachable, in either direction, and closed to whoever is not expected. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { connect as secure } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Background, silentLogger } from '../../../src/base/base.ts'
import type { ExchangeLimits } from '../../../src/exchange/contract.ts'
import { createCertificate } from '../../../src/exchange/peer/certificate.ts'
import { type Direct, type Expectation, openDirect } from '../../../src/exchange/peer/direct.ts'
import type { Fault } from '../../../src/exchange/peer/faults.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'
import {
  openWorld,
  pieceBytes,
  read,
  someBytes,
  type TestNode,
  until,
  type World,
  wanted,
} from '../lab/fixture.ts'

/** Streams in memory would otherwise be done before a socket has connected. */
const slow = { uploadBytesPerSecond: 8 * 1024 * 1024 }
const never = new AbortController().signal
const local = { host: '127.0.0.1', port: 0 }

describe('direct connections', () => {
  /** Stands still, so that a busy machine lets nobody's time run out. */
  let clock: SteppedClock
  let background: Background
  let listener: Direct
  let dialler: Direct
  beforeEach(async () => {
    clock = new SteppedClock()
    background = new Background('the test', silentLogger)
    listener = await openDirect({ ...local, background, clock })
    dialler = await openDirect({ ...local, background, clock })
  })
  afterEach(async () => {
    await listener[Symbol.asyncDispose]()
    await dialler[Symbol.asyncDispose]()
    await background[Symbol.asyncDispose]()
  })

  function expected(fingerprint = dialler.expect()?.offer.fingerprint): Expectation {
    const found = listener.expect()
    if (found === undefined || fingerprint === undefined) throw new Error('too many are expected')
    found.from(fingerprint)
    return found
  }

  it('carry frames both ways, and their end', async () => {
    const { offer, arrival } = expected()
    const mine = await dialler.connect('127.0.0.1', offer, { signal: never })
    const theirs = await arrival
    if (theirs === undefined) throw new Error('nobody came')
    const frames = [someBytes(1), someBytes(262_060), someBytes(70_000), someBytes(3)]
    const sending = (async () => {
      for (const frame of frames) await theirs.send(frame)
      await theirs.close()
    })()
    for (const frame of frames) expect(Buffer.compare((await mine.receive()) ?? Buffer.of(9), frame)).toBe(0)
    expect(await mine.receive()).toBeUndefined()
    await sending
  })

  it('let in who comes before it has said with which certificate, once it has', async () => {
    const found = listener.expect()
    if (found === undefined) throw new Error('too many are expected')
    const mine = await dialler.connect('127.0.0.1', found.offer, { signal: never })
    found.from(dialler.expect()?.offer.fingerprint ?? new Uint8Array())
    const theirs = await found.arrival
    await theirs?.send(someBytes(5))
    expect((await mine.receive())?.length).toBe(5)
  })

  it('refuse a ticket that was used', async () => {
    const { offer, arrival } = expected()
    await dialler.connect('127.0.0.1', offer, { signal: never })
    expect(await arrival).toBeDefined()
    await expect(dialler.connect('127.0.0.1', offer, { signal: never })).rejects.toMatchObject({
      code: 'DIRECT_FAILED',
      isReached: false,
    })
  })

  it('refuse the certificate of someone else', async () => {
    const { offer, arrival } = expected(createCertificate().fingerprint)
    // In TLS 1.3 the one who connects learns last that it is not wanted.
    const connection = await dialler.connect('127.0.0.1', offer, { signal: never })
    expect(await arrival).toBeUndefined()
    expect(await connection.receive().catch(() => undefined)).toBeUndefined()
  })

  it('refuse a listener with another certificate', async () => {
    const { offer } = expected()
    const other = { ...offer, fingerprint: createCertificate().fingerprint }
    await expect(dialler.connect('127.0.0.1', other, { signal: never })).rejects.toMatchObject({
      code: 'DIRECT_FAILED',
      isReached: true,
    })
  })

  it('close a connection at once while nobody is expected', async () => {
    const { offer, cancel, arrival } = expected()
    cancel()
    expect(await arrival).toBeUndefined()
    const socket = connect({ host: '127.0.0.1', port: offer.port })
    socket.on('error', () => undefined)
    await once(socket, 'close')
    expect(socket.bytesRead).toBe(0)
  })

  it('close a connection with a wrong ticket before any handshake', async () => {
    const { offer } = expected()
    const socket = connect({ host: '127.0.0.1', port: offer.port })
    socket.on('error', () => undefined)
    socket.write(someBytes(32))
    await once(socket, 'close')
    expect(socket.bytesRead).toBe(0)
  })

  it('close a connection that says nothing, and never hold many of them', async () => {
    const { offer } = expected()
    const sockets: Socket[] = []
    for (let count = 0; count < 40; count++) {
      const socket = connect({ host: '127.0.0.1', port: offer.port })
      socket.on('error', () => undefined)
      sockets.push(socket)
    }
    let closed = 0
    for (const socket of sockets) socket.once('close', () => closed++)
    // Those beyond the limit at once, the rest when their time is over.
    await until('the first to be closed', () => closed >= 8)
    await until('all to be closed', () => {
      clock.advance(100)
      return closed === 40
    })
  })

  it('let an expected one in while strangers of many addresses hold every place', async () => {
    const { offer, arrival } = expected()
    const strangers = Array.from({ length: 48 }, (_, at) =>
      connect({ host: '127.0.0.1', port: offer.port, localAddress: `127.0.1.${1 + (at % 24)}` }),
    )
    for (const socket of strangers) socket.on('error', () => undefined)
    await Promise.all(strangers.map((socket) => once(socket, 'connect')))
    await dialler.connect('127.0.0.1', offer, { signal: never })
    expect(await arrival).toBeDefined()
    for (const socket of strangers) socket.destroy()
  })

  it('take a certificate that OpenSSL reads, and nothing below TLS 1.3', async () => {
    const { offer } = expected()
    const socket = connect({ host: '127.0.0.1', port: offer.port })
    socket.on('error', () => undefined)
    socket.write(offer.ticket)
    await once(socket, 'readable')
    socket.read(1)
    const old = secure({ socket, rejectUnauthorized: false, maxVersion: 'TLSv1.2' })
    await expect(once(old, 'secureConnect')).rejects.toThrow()
  })
})

describe('two neighbours', () => {
  let world: World
  beforeEach(() => {
    world = openWorld()
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
  })

  /** Others are reached at `address`, as this node sees it. */
  async function node(address: string, limits: Partial<ExchangeLimits> = {}, port = 0): Promise<TestNode> {
    const direct = { host: '127.0.0.1', port, addressesOf: () => [address] }
    return await world.node({ limits: { giveUpMs: 10_000, ...limits }, override: { direct } })
  }

  const nowhere = '127.0.0.9'
  it.each<[string, string, string, boolean]>([
    ['when both reach each other', '127.0.0.1', '127.0.0.1', true],
    ['when the one that downloads dials out', nowhere, '127.0.0.1', true],
    ['when the one that seeds dials out', '127.0.0.1', nowhere, true],
    ['not when neither reaches the other, and do not try again', nowhere, nowhere, false],
  ])('go over to a direct connection early %s', async (_, ofSeeder, ofDownloader, isDirect) => {
    const [seeder, downloader] = [await node(ofSeeder, slow), await node(ofDownloader)]
    const bytes = someBytes(160 * pieceBytes)
    for (const content of isDirect ? [bytes] : [someBytes(80 * pieceBytes), bytes]) {
      const digest = await seeder.holds(content)
      await using blob = await downloader.exchange.open(wanted(digest))
      if (blob === undefined) throw new Error('nobody has it')
      expect(Buffer.compare(await read(blob), content)).toBe(0)
    }
    if (isDirect) expect(world.mesh.sentBy(seeder.peer)).toBeLessThan(bytes.length / 2)
    else expect(world.mesh.sentBy(seeder.peer)).toBeGreaterThan(bytes.length)
    expect(faultsOf(downloader, seeder)).toEqual(isDirect ? {} : { direct: 1 })
    expect(downloader.blamed).toEqual([])
  })

  it('meet again on the stream when their direct connection is cut', async () => {
    await using proxy = await openProxy(2 * 1024 * 1024)
    const seeder = await node(nowhere, slow, proxy.port)
    const downloader = await node(proxyHost)
    const bytes = someBytes(128 * pieceBytes)
    const digest = await seeder.holds(bytes)
    await using blob = await downloader.exchange.open(wanted(digest))
    if (blob === undefined) throw new Error('nobody has it')
    expect(Buffer.compare(await read(blob), bytes)).toBe(0)
    expect(proxy.carried).toBeGreaterThanOrEqual(2 * 1024 * 1024)
    expect(downloader.blamed).toEqual([])
  })
})

function faultsOf(node: TestNode, { peer }: TestNode): Partial<Record<Fault, number>> {
  return node.exchange.status().peers.find((known) => known.peer === peer)?.faults ?? {}
}

const proxyHost = '127.0.0.2'

interface Proxy extends AsyncDisposable {
  /** Here, and of the seeder on 127.0.0.1. */
  readonly port: number
  readonly carried: number
}

/** Stands before a seeder's listener, and breaks after it has carried so many bytes from there. */
async function openProxy(afterBytes: number): Promise<Proxy> {
  const sockets: Socket[] = []
  const proxy = { port: 0, carried: 0 }
  const server = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port: proxy.port })
    sockets.push(near, far)
    for (const socket of [near, far]) socket.on('error', () => socket.destroy())
    near.pipe(far)
    far.on('data', (chunk: Buffer) => {
      proxy.carried += chunk.length
      if (proxy.carried < afterBytes) near.write(chunk)
      else for (const socket of [near, far]) socket.destroy()
    })
  })
  server.listen({ host: proxyHost, port: 0 })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  proxy.port = address.port
  return Object.assign(proxy, {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  })
}
