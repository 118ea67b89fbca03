/** Direct lanes: chosen where they are reachable, given up without a failed piece, and closed to whoever is not expected. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as secure } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Background, silentLogger, steadyClock } from '../../../src/base/base.ts'
import type { ExchangeLimits } from '../../../src/exchange/contract.ts'
import { createCertificate } from '../../../src/exchange/peer/certificate.ts'
import { type DirectLanes, openDirectLanes } from '../../../src/exchange/peer/direct-lanes.ts'
import type { Fault } from '../../../src/exchange/peer/faults.ts'
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

/** Channels in memory would otherwise be done before a socket has connected. */
const slow = { uploadBytesPerSecond: 32 * 1024 * 1024 }
const never = new AbortController().signal
const local = { host: '127.0.0.1', port: 0, connectMs: 10_000 }

describe('direct lanes', () => {
  let background: Background
  let holder: DirectLanes
  let asker: DirectLanes
  beforeEach(async () => {
    background = new Background('the test', silentLogger)
    holder = await openDirectLanes({ ...local, background, clock: steadyClock })
    asker = await openDirectLanes({ ...local, background, clock: steadyClock })
  })
  afterEach(async () => {
    await holder[Symbol.asyncDispose]()
    await asker[Symbol.asyncDispose]()
    await background[Symbol.asyncDispose]()
  })

  function expected(fingerprint = asker.fingerprint): NonNullable<ReturnType<DirectLanes['expect']>> {
    const found = holder.expect(fingerprint)
    if (found === undefined) throw new Error('too many are expected')
    return found
  }

  it('carry frames both ways, and their end', async () => {
    const { offer, arrival } = expected()
    const mine = await asker.connect('127.0.0.1', offer, { signal: never })
    const theirs = await arrival
    if (theirs === undefined) throw new Error('nobody came')
    const frames = [someBytes(1), someBytes(262_060), someBytes(0), someBytes(70_000)]
    const sending = (async () => {
      for (const frame of frames) await theirs.send(frame)
      await theirs.close()
    })()
    for (const frame of frames) expect(Buffer.compare((await mine.receive()) ?? Buffer.of(9), frame)).toBe(0)
    expect(await mine.receive()).toBeUndefined()
    await sending
  })

  it('hold the sender back while nothing is received', async () => {
    const { offer, arrival } = expected()
    const mine = await asker.connect('127.0.0.1', offer, { signal: never })
    const theirs = await arrival
    let sent = 0
    const frame = someBytes(262_060)
    const sending = (async () => {
      for (; sent < 200; sent++) await theirs?.send(frame)
      await theirs?.close()
    })()
    let before = -1
    while (before !== sent) {
      before = sent
      await delay(100)
    }
    expect(sent).toBeLessThan(150)
    let received = 0
    while ((await mine.receive()) !== undefined) received++
    expect(received).toBe(200)
    await sending
  })

  it('refuse a ticket that was used', async () => {
    const { offer, arrival } = expected()
    await asker.connect('127.0.0.1', offer, { signal: never })
    expect(await arrival).toBeDefined()
    await expect(asker.connect('127.0.0.1', offer, { signal: never })).rejects.toMatchObject({
      code: 'LANE_FAILED',
      isHalfOpen: false,
    })
  })

  it('refuse the certificate of someone else', async () => {
    const { offer, arrival } = expected(createCertificate().fingerprint)
    // In TLS 1.3 the one who connects learns last that it is not wanted.
    const lane = await asker.connect('127.0.0.1', offer, { signal: never })
    expect(await arrival).toBeUndefined()
    expect(await lane.receive().catch(() => undefined)).toBeUndefined()
  })

  it('refuse a listener with another certificate', async () => {
    const { offer } = expected()
    const other = { ...offer, fingerprint: createCertificate().fingerprint }
    await expect(asker.connect('127.0.0.1', other, { signal: never })).rejects.toMatchObject({
      code: 'LANE_FAILED',
      isHalfOpen: true,
    })
  })

  it('close a connection at once while nobody is expected', async () => {
    const socket = connect({ host: '127.0.0.1', port: holder.port })
    socket.on('error', () => undefined)
    await once(socket, 'close')
    expect(socket.bytesRead).toBe(0)
  })

  it('close a connection with a wrong ticket before any handshake', async () => {
    expected()
    const socket = connect({ host: '127.0.0.1', port: holder.port })
    socket.on('error', () => undefined)
    socket.write(someBytes(32))
    await once(socket, 'close')
    expect(socket.bytesRead).toBe(0)
  })

  it('close a connection that says nothing, and never hold many of them', async () => {
    expected()
    const sockets: Socket[] = []
    for (let count = 0; count < 40; count++) {
      const socket = connect({ host: '127.0.0.1', port: holder.port })
      socket.on('error', () => undefined)
      sockets.push(socket)
    }
    let closed = 0
    for (const socket of sockets) socket.once('close', () => closed++)
    // Those beyond the limit at once, the rest when their time is over.
    await until('the first to be closed', () => closed >= 8, 1500)
    await until('all to be closed', () => closed === 40, 5000)
  })

  it('let an expected one in while strangers of many addresses hold every place', async () => {
    const { offer, arrival } = expected()
    const strangers = Array.from({ length: 48 }, (_, at) =>
      connect({ host: '127.0.0.1', port: holder.port, localAddress: `127.0.1.${1 + (at % 24)}` }),
    )
    for (const socket of strangers) socket.on('error', () => undefined)
    await Promise.all(strangers.map((socket) => once(socket, 'connect')))
    await asker.connect('127.0.0.1', offer, { signal: never })
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

describe('a transfer over lanes', () => {
  let world: World
  beforeEach(() => {
    world = openWorld()
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
  })

  async function node(address: string, port = 0, limits: Partial<ExchangeLimits> = {}): Promise<TestNode> {
    const lanes = { host: '127.0.0.1', port, connectMs: 10_000, addressesOf: () => [address] }
    return await world.node({ limits: { giveUpMs: 10_000, ...limits }, override: { lanes } })
  }

  it('takes the direct one once it is worth it', async () => {
    const [holder, asker] = [await node('127.0.0.1', 0, slow), await node('127.0.0.1')]
    const bytes = someBytes(480 * pieceBytes)
    const digest = await holder.holds(bytes)
    await using blob = await asker.exchange.open(wanted(digest))
    if (blob === undefined) throw new Error('nobody has it')
    expect(Buffer.compare(await read(blob), bytes)).toBe(0)
    expect(world.mesh.sentBy(holder.peer)).toBeLessThan(bytes.length / 2)
    expect(faultsOf(asker, holder)).toEqual({})
  })

  it('goes on over the channel when the direct one cannot be had, and does not try again', async () => {
    // Nobody listens there.
    const [holder, asker] = [await node('127.0.0.1', 0, slow), await node('127.0.0.9')]
    for (let count = 0; count < 2; count++) {
      const digest = await holder.holds(someBytes(160 * pieceBytes))
      expect(await asker.exchange.fetch(wanted(digest))).toBe(true)
    }
    expect(faultsOf(asker, holder)).toEqual({ lane: 1 })
    expect(asker.blamed).toEqual([])
  })

  it.each(['cut', 'stall'] as const)(
    'asks again over the channel for what a %s lane swallowed',
    async (how) => {
      await using proxy = await openProxy(6 * 1024 * 1024, how)
      const holder = await node('127.0.0.1', proxy.port, slow)
      proxy.target = proxy.port
      const asker = await node(proxyHost)
      const bytes = someBytes(400 * pieceBytes)
      const digest = await holder.holds(bytes)
      await using blob = await asker.exchange.open(wanted(digest))
      if (blob === undefined) throw new Error('nobody has it')
      expect(Buffer.compare(await read(blob), bytes)).toBe(0)
      expect(proxy.carried).toBeGreaterThanOrEqual(6 * 1024 * 1024)
      expect(faultsOf(asker, holder)).toEqual({ lane: 1 })
      expect(asker.blamed).toEqual([])
    },
  )
})

function faultsOf(asker: TestNode, { peer }: TestNode): Partial<Record<Fault, number>> {
  return asker.exchange.status().peers.find((known) => known.peer === peer)?.faults ?? {}
}

const proxyHost = '127.0.0.2'

interface Proxy extends AsyncDisposable {
  readonly port: number
  /** Of 127.0.0.1. */
  target: number
  readonly carried: number
}

/** Stands between an asker and a holder, and breaks after it has carried so many bytes to the asker. */
async function openProxy(afterBytes: number, how: 'cut' | 'stall'): Promise<Proxy> {
  const sockets: Socket[] = []
  const proxy = { target: 0, carried: 0 }
  const server = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port: proxy.target })
    sockets.push(near, far)
    for (const socket of [near, far]) socket.on('error', () => socket.destroy())
    near.pipe(far)
    far.on('data', (chunk: Buffer) => {
      proxy.carried += chunk.length
      if (proxy.carried < afterBytes) near.write(chunk)
      else if (how === 'cut') for (const socket of [near, far]) socket.destroy()
      else far.pause()
    })
  })
  server.listen({ host: proxyHost, port: 0 })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return Object.assign(proxy, {
    port: address.port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  })
}
