/**
 * Direct connections for the bytes of pieces: TLS 1.3 between two nodes that know each other's certificates from the channel
 * that they have already.
 *
 * The one who connects sends the ticket first, as it is, and the TLS handshake begins when the listener has answered with one
 * byte. So whoever has no ticket costs the listener no handshake; a ticket that was overheard is of no use without the key of
 * the certificate that it was given to.
 */
import { hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, connect as secure, TLSSocket } from 'node:tls'
import { type Background, type Clock, CodedError, networkOf, WaitingRoom } from '../../base/base.ts'
import type { Channel } from '../../wire/wire.ts'
import { createCertificate } from './certificate.ts'
import { SocketLane } from './socket-lane.ts'

/** No direct lane came about. */
export class LaneError extends CodedError {
  readonly code = 'LANE_FAILED'
  /** The other side may believe that there is one. */
  readonly isHalfOpen: boolean

  constructor(message: string, options: { isHalfOpen?: boolean; cause?: unknown } = {}) {
    super(message, options)
    this.isHalfOpen = options.isHalfOpen ?? false
  }
}

export interface LaneOffer {
  port: number
  fingerprint: Uint8Array
  ticket: Uint8Array
}

export interface DirectLanes extends AsyncDisposable {
  /** Of this node's certificate. */
  readonly fingerprint: Uint8Array
  readonly port: number
  /**
   * Awaits one connection from the holder of that certificate; `undefined` when too many are awaited already.
   * `arrival` resolves to `undefined` when it does not come in time.
   */
  expect(fingerprint: Uint8Array): { offer: LaneOffer; arrival: Promise<Channel | undefined> } | undefined
  /** Throws LaneError. */
  connect(
    host: string,
    offer: LaneOffer,
    options: { signal: AbortSignal; onBytes?: () => void },
  ): Promise<Channel>
}

export interface DirectLanesOptions {
  host: string
  /** 0 for any. */
  port: number
  /** For the whole of connecting, the handshake included; default 10 s, since pieces come on the channel meanwhile. */
  connectMs?: number
  background: Background
  clock: Clock
}

interface Expected {
  fingerprint: Uint8Array
  arrival: PromiseWithResolvers<Channel | undefined>
}

const ticketBytes = 32
const maxExpected = 256
/** Connections that have not proven anything yet. */
const unproven = { most: 32, mostOfOne: 8 }
const unprovenMs = 2000
/** As long as a node may take for it whose processors are all busy. */
const handshakeMs = 10_000
const ticketMs = 10_000
const accepted = Buffer.of(1)

export async function openDirectLanes(options: DirectLanesOptions): Promise<DirectLanes> {
  const { host, port, connectMs = 10_000, background, clock } = options
  const { certificate, key, fingerprint } = createCertificate()
  const secureContext = createSecureContext({ cert: certificate, key, minVersion: 'TLSv1.3' })
  const expected = new Map<string, Expected>()
  const sockets = new Set<Socket>()
  const newcomers = new WaitingRoom(unproven)

  const keep = (socket: Socket): void => {
    sockets.add(socket)
    // An error that nobody listens to would end the process.
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
  }

  /** From here on only the TLS socket is destroyed, which destroys the other: the reverse order crashes Node 24. */
  const wrapped = (socket: Socket, tls: TLSSocket): TLSSocket => {
    sockets.delete(socket)
    keep(tls)
    return tls
  }

  const takeTicket = async (socket: Socket, stop: AbortSignal): Promise<Expected> => {
    const leave = newcomers.enter(networkOf(socket.remoteAddress ?? ''), () => socket.destroy())
    try {
      const signal = AbortSignal.any([stop, AbortSignal.timeout(unprovenMs)])
      const ticket = await readTicket(socket, signal)
      const found = expected.get(ticket)
      if (found === undefined) throw new LaneError('an unknown ticket')
      expected.delete(ticket)
      return found
    } finally {
      leave()
    }
  }

  const admit = async (socket: Socket, stop: AbortSignal): Promise<void> => {
    let current = socket
    let found: Expected | undefined
    try {
      found = await takeTicket(socket, stop)
      socket.write(accepted)
      const signal = AbortSignal.any([stop, AbortSignal.timeout(handshakeMs)])
      const options = { isServer: true, secureContext, requestCert: true, rejectUnauthorized: false }
      const tls = wrapped(socket, new TLSSocket(socket, options))
      current = tls
      await once(tls, 'secure', { signal })
      check(tls, found.fingerprint)
      found.arrival.resolve(SocketLane.over(tls))
    } catch {
      // Whoever it was has no business here, or has gone; the one that was expected uses the channel instead.
      current.destroy()
    } finally {
      found?.arrival.resolve(undefined)
    }
  }

  const server = createServer({ noDelay: true }, (socket) => {
    if (expected.size === 0) {
      socket.destroy()
      return
    }
    keep(socket)
    background.start('lane', async (signal) => await admit(socket, signal))
  })
  await listening(server, host, port)
  const address = server.address()
  if (address === null || typeof address === 'string') throw new LaneError('no port to listen on')

  return {
    fingerprint,
    port: address.port,

    expect(theirs) {
      if (expected.size >= maxExpected) return undefined
      const ticket = randomBytes(ticketBytes)
      const name = ticket.toString('latin1')
      const arrival = Promise.withResolvers<Channel | undefined>()
      expected.set(name, { fingerprint: theirs, arrival })
      background.start('ticket', async (signal) => {
        try {
          await clock.sleep(ticketMs, { signal })
        } finally {
          if (expected.delete(name)) arrival.resolve(undefined)
        }
      })
      return { offer: { port: address.port, fingerprint, ticket }, arrival: arrival.promise }
    },

    async connect(to, offer, { signal, onBytes }) {
      const timely = AbortSignal.any([signal, background.signal, AbortSignal.timeout(connectMs)])
      const socket = connect({ host: to, port: offer.port, noDelay: true })
      keep(socket)
      let current: Socket = socket
      let isHalfOpen = false
      try {
        await once(socket, 'connect', { signal: timely })
        socket.write(offer.ticket)
        await readExactly(socket, accepted.length, timely)
        isHalfOpen = true
        const options = {
          secureContext,
          minVersion: 'TLSv1.3',
          rejectUnauthorized: false,
          checkServerIdentity: () => undefined,
        } as const
        const tls = wrapped(socket, secure({ socket, ...options }))
        current = tls
        await once(tls, 'secureConnect', { signal: timely })
        check(tls, offer.fingerprint)
        return SocketLane.over(tls, onBytes)
      } catch (cause) {
        current.destroy()
        throw new LaneError(`no direct lane to ${to}:${offer.port}`, { isHalfOpen, cause })
      }
    },

    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

async function listening(server: Server, host: string, port: number): Promise<void> {
  server.listen({ host, port })
  await once(server, 'listening')
}

function check(socket: TLSSocket, fingerprint: Uint8Array): void {
  const { raw } = socket.getPeerCertificate()
  // The handshake has proven that the other side has the key of this certificate.
  if (raw === undefined || Buffer.compare(hash('sha256', raw, 'buffer'), fingerprint) !== 0) {
    throw new LaneError('another certificate than was told')
  }
  if (socket.getProtocol() !== 'TLSv1.3') throw new LaneError(`${socket.getProtocol()} is not TLSv1.3`)
}

async function readTicket(socket: Socket, signal: AbortSignal): Promise<string> {
  return (await readExactly(socket, ticketBytes, signal)).toString('latin1')
}

/** Leaves the socket paused. */
async function readExactly(socket: Socket, count: number, signal: AbortSignal): Promise<Buffer> {
  for (;;) {
    const bytes: Buffer | null = socket.read(count)
    if (bytes !== null) {
      if (bytes.length < count) throw new LaneError('the connection ended')
      return bytes
    }
    if (socket.readableEnded || socket.destroyed) throw new LaneError('the connection ended')
    await once(socket, 'readable', { signal })
  }
}
