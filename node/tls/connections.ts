/**
 * TLS on the port of an HTTP server: each connection waits for the key and certificate, says by its first byte what it
 * speaks, and reaches the server once it has shaken hands. Plain HTTP goes on from this host alone, where it is let.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { createServer, DEFAULT_CIPHERS } from 'node:tls'
import type { KeyPair } from './key-pair.ts'

export interface SecureConnections {
  /** From now on; connections that stand go on with what they began with. Throws what OpenSSL says of a pair that it cannot use. */
  use(pair: KeyPair): void
  /** The connection that carries what the server was given. */
  carrierOf(socket: Socket): Socket
  /** Ends those that have not shaken hands. */
  close(): void
}

export interface SecureConnectionsOptions {
  /** Whether programs on this host may speak plain HTTP. */
  plainOnLoopback: boolean
  /** A connection that has not shaken hands after this is cut. */
  handshakeMs: number
}

/** As Node has them, but the one first that every TLS 1.3 has to have (RFC 8446, 9.1): a tenth less work for a byte than AES-256. */
const quickest = 'TLS_AES_128_GCM_SHA256'
const others = DEFAULT_CIPHERS.split(':').filter((cipher) => cipher !== quickest)
const ciphers = [quickest, ...others].join(':')

/** The first byte of a record that carries a handshake (RFC 8446, 5.1). */
const handshake = 0x16

/** Takes over what the server, which does not listen yet, does with a new connection. */
export function secureConnections(
  server: Server,
  { plainOnLoopback, handshakeMs }: SecureConnectionsOptions,
): SecureConnections {
  const serve = server.listeners('connection')
  server.removeAllListeners('connection')
  const accept = (socket: Socket): void => {
    for (const listener of serve) listener.call(server, socket)
  }
  const ready = Promise.withResolvers<void>()
  /** Those that have not shaken hands, by both of their ends. */
  const newcomers = new Map<string, Socket>()
  const carriers = new WeakMap<Socket, Socket>()
  // It does not listen: connections are given to it.
  const secure = createServer({ handshakeTimeout: handshakeMs, noDelay: true })
  secure.on('secureConnection', (secured) => {
    const carrier = newcomers.get(endsOf(secured))
    if (carrier === undefined) {
      secured.destroy()
      return
    }
    carriers.set(secured, carrier)
    newcomers.delete(endsOf(secured))
    secured.allowHalfOpen = carrier.allowHalfOpen = true
    accept(secured)
  })
  // Port scans, and clients that do not trust the authority: nothing that an operator could act on.
  secure.on('tlsClientError', (_error, secured) => secured.destroy())

  const begin = async (socket: Socket, ends: string): Promise<void> => {
    const first = await firstByte(socket)
    if (first === undefined) return
    if (first === handshake) {
      await ready.promise
      if (!socket.destroyed) secure.emit('connection', socket)
    } else if (plainOnLoopback && isOfThisHost(socket)) {
      newcomers.delete(ends)
      socket.allowHalfOpen = true
      accept(socket)
    } else socket.end(plainRefusal)
  }

  server.on('connection', (socket) => {
    const ends = endsOf(socket)
    newcomers.set(ends, socket)
    // Whoever ends before it was served wants no answer: it would lie here until its time is over.
    socket.allowHalfOpen = false
    const late = setTimeout(() => {
      if (newcomers.get(ends) === socket) socket.destroy()
    }, handshakeMs)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => {
      clearTimeout(late)
      if (newcomers.get(ends) === socket) newcomers.delete(ends)
    })
    void begin(socket, ends)
  })

  return {
    use({ certificate, key }) {
      secure.setSecureContext({ cert: certificate, key, ciphers })
      ready.resolve()
    },
    carrierOf: (socket) => carriers.get(socket) ?? socket,
    close() {
      for (const socket of newcomers.values()) socket.destroy()
    },
  }
}

function endsOf({ localAddress, remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`
}

/** It stays to be read; `undefined` when the connection ended before there was one. */
function firstByte(socket: Socket): Promise<number | undefined> {
  return new Promise((resolve) => {
    const look = (): void => {
      const bytes: Buffer | null = socket.read()
      if (bytes === null && !socket.readableEnded && !socket.destroyed) return
      socket.off('readable', look).off('close', look)
      if (bytes !== null) socket.unshift(bytes)
      resolve(bytes?.[0])
    }
    socket.on('readable', look).on('close', look)
  })
}

function isOfThisHost({ remoteAddress = '' }: Socket): boolean {
  return remoteAddress === '::1' || /^(?:::ffff:)?127\./.test(remoteAddress)
}

const message =
  'this port speaks HTTPS; write https://, or start the node with --plain-loopback, with which programs on its host may speak plain HTTP'
const refusalBody = `${JSON.stringify({ errors: [{ code: 'UNSUPPORTED', message }] })}\n`
const plainRefusal = [
  'HTTP/1.1 400 Bad Request',
  'Content-Type: application/json',
  `Content-Length: ${refusalBody.length}`,
  'Connection: close',
  '',
  refusalBody,
].join('\r\n')
