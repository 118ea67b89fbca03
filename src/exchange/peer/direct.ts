/**
 * Direct connections between neighbours: TLS 1.3 between two nodes that know each other's certificates from the stream that they
 * have already.
 *
 * The one who connects sends the ticket first, as it is, and the TLS handshake begins when the listener has answered with one
 * byte. So whoever has no ticket costs the listener no handshake; a ticket that was overheard is of no use without the key of
 * the certificate that it was given to.
 */
import { hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, connect as secure, TLSSocket } from 'node:tls'
import {
  type Background,
  type Clock,
  CodedError,
  networkOf,
  patience,
  unlessAborted,
  WaitingRoom,
} from '../../base/base.ts'
import { createCertificate } from './certificate.ts'
import type { FramePool } from './frame-pool.ts'
import { SocketChannel } from './socket-channel.ts'

/** No direct connection came about. */
export class DirectError extends CodedError {
  readonly code = 'DIRECT_FAILED'
  /** The listener has answered, so that the fault is not the way to it. */
  readonly isReached: boolean

  constructor(message: string, options: { isReached?: boolean; cause?: unknown } = {}) {
    super(message, options)
    this.isReached = options.isReached ?? false
  }
}

export interface DirectOffer {
  port: number
  fingerprint: Uint8Array
  ticket: Uint8Array
}

export interface Expectation {
  /** To be told to the peer. */
  readonly offer: DirectOffer
  /** `undefined` when it does not come in time, or not with the certificate that it told. */
  readonly arrival: Promise<SocketChannel | undefined>
  /** The SHA-256 of the certificate with which it will come: nobody is let in before. */
  from(fingerprint: Uint8Array): void
  cancel(): void
}

export interface Direct extends AsyncDisposable {
  /** `undefined` when too many are expected already. */
  expect(): Expectation | undefined
  /** Throws DirectError. */
  connect(host: string, offer: DirectOffer, options: { signal: AbortSignal }): Promise<SocketChannel>
}

export interface DirectOptions {
  /** To listen on; port 0 for any. */
  host: string
  port: number
  /** How long the other's listener may take to answer; default 3 s. */
  reachMs?: number
  background: Background
  clock: Clock
  /** For the frames that come. */
  pool?: FramePool
}

interface Expected {
  fingerprint: PromiseWithResolvers<Uint8Array>
  arrival: PromiseWithResolvers<SocketChannel | undefined>
}

const ticketBytes = 32
const maxExpected = 256
/** Connections that have not proven anything yet. */
const unproven = { most: 32, mostOfOne: 8 }
const unprovenMs = 2000
/** As long as a node may take for it whose processors are all busy. */
const handshakeMs = 15_000
/** Long enough for the other side to fail at being reached first. */
const ticketMs = 25_000
const accepted = Buffer.of(1)

export async function openDirect(options: DirectOptions): Promise<Direct> {
  const { host, port, reachMs = 3000, background, clock, pool } = options
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
      const signal = AbortSignal.any([stop, patience(unprovenMs, clock)])
      const ticket = await readTicket(socket, signal)
      const found = expected.get(ticket)
      if (found === undefined) throw new DirectError('an unknown ticket')
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
      const signal = AbortSignal.any([stop, patience(handshakeMs, clock)])
      const options = { isServer: true, secureContext, requestCert: true, rejectUnauthorized: false }
      const tls = wrapped(socket, new TLSSocket(socket, options))
      current = tls
      await once(tls, 'secure', { signal })
      check(tls, await unlessAborted(found.fingerprint.promise, signal))
      found.arrival.resolve(SocketChannel.over(tls, pool))
    } catch {
      // Whoever it was has no business here, or has gone; the one that was expected stays on the stream.
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
    background.start('direct', async (signal) => await admit(socket, signal))
  })
  await listening(server, host, port)
  const address = server.address()
  if (address === null || typeof address === 'string') throw new DirectError('no port to listen on')

  return {
    expect() {
      if (expected.size >= maxExpected) return undefined
      const ticket = randomBytes(ticketBytes)
      const name = ticket.toString('latin1')
      const theirs = Promise.withResolvers<Uint8Array>()
      const arrival = Promise.withResolvers<SocketChannel | undefined>()
      const over = new AbortController()
      expected.set(name, { fingerprint: theirs, arrival })
      background.start('ticket', async (signal) => {
        try {
          await clock.sleep(ticketMs, { signal: AbortSignal.any([signal, over.signal]) })
        } catch (error) {
          if (!signal.aborted && !over.signal.aborted) throw error
        } finally {
          if (expected.delete(name)) arrival.resolve(undefined)
        }
      })
      return {
        offer: { port: address.port, fingerprint, ticket },
        arrival: arrival.promise,
        from: (told) => theirs.resolve(told),
        cancel: () => over.abort(new DirectError('it is not expected any more')),
      }
    },

    async connect(to, offer, { signal }) {
      const either = AbortSignal.any([signal, background.signal])
      const socket = connect({ host: to, port: offer.port, noDelay: true })
      keep(socket)
      let current: Socket = socket
      let isReached = false
      try {
        const reaching = AbortSignal.any([either, patience(reachMs, clock)])
        await once(socket, 'connect', { signal: reaching })
        socket.write(offer.ticket)
        await readExactly(socket, accepted.length, reaching)
        isReached = true
        const options = {
          secureContext,
          minVersion: 'TLSv1.3',
          rejectUnauthorized: false,
          checkServerIdentity: () => undefined,
        } as const
        const tls = wrapped(socket, secure({ socket, ...options }))
        current = tls
        const proving = AbortSignal.any([either, patience(handshakeMs, clock)])
        await once(tls, 'secureConnect', { signal: proving })
        check(tls, offer.fingerprint)
        return SocketChannel.over(tls, pool)
      } catch (cause) {
        current.destroy()
        throw new DirectError(`no direct connection to ${to}:${offer.port}`, { isReached, cause })
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
    throw new DirectError('another certificate than was told')
  }
  if (socket.getProtocol() !== 'TLSv1.3') throw new DirectError(`${socket.getProtocol()} is not TLSv1.3`)
}

async function readTicket(socket: Socket, signal: AbortSignal): Promise<string> {
  return (await readExactly(socket, ticketBytes, signal)).toString('latin1')
}

/** Leaves the socket paused. */
async function readExactly(socket: Socket, count: number, signal: AbortSignal): Promise<Buffer> {
  for (;;) {
    const bytes: Buffer | null = socket.read(count)
    if (bytes !== null) {
      if (bytes.length < count) throw new DirectError('the connection ended')
      return bytes
    }
    if (socket.readableEnded || socket.destroyed) throw new DirectError('the connection ended')
    await once(socket, 'readable', { signal })
  }
}
