/** The registry's port: open before the registry behind it is, so that who comes early waits instead of being refused. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CodedError, steadyClock, untilOrAfter } from '../src/base/base.ts'
import { decidesByVersionCheck } from '../src/http/client.ts'
import { createServer } from './node-http.ts'
import { makeRoomFromQuiet } from './quiet-connections.ts'
import { type Address, formatAddress } from './settings/kinds.ts'
import type { SecureConnectionsOptions } from './tls/connections.ts'
import type { KeyPair } from './tls/key-pair.ts'

/** Answers a request, and may go on after its client left. */
type Answerer = (request: IncomingMessage, response: ServerResponse) => unknown

export interface HttpPort extends AsyncDisposable {
  readonly address: string
  /** `https` where it speaks TLS, which needs `secure` to be called. */
  readonly scheme: 'http' | 'https'
  /** Answers from now on, those first who wait. */
  serve(listener: Answerer): void
  /** TLS has this key and certificate from now on; before the first, connections wait. */
  secure(pair: KeyPair): void
}

/** The address is taken, or not this machine's. */
export class ListenError extends CodedError {
  readonly code = 'LISTEN'
}

/** A connection that moves no byte for this long is cut; a slow one that moves is never. */
const idleMs = 120_000
/** Podman asks for 1,024 ranges in one header, of ten digits each; Node's default is half of it. */
const maxHeadBytes = 32 * 1024
/** Longer than what load balancers and clients keep a connection for, so that they close it, not this side. */
const keepAliveMs = 75_000
/** Requests that are still under way after this are cut when the port closes. */
const drainMs = 8_000
/** And what answers them ends by itself after that. */
const endMs = 1_000

export interface HttpLimits {
  /** A head that took so long is refused with 408; so is a connection that brings none. */
  headersMs: number
  /** How often that is looked at. */
  checkMs: number
  /** Beyond these, connections on which nothing is asked make room. */
  maxConnections: number
}

export interface HttpPortOptions extends Partial<HttpLimits> {
  /** The setting that names the address. Default `http`. */
  setting?: 'http' | 'metrics'
  tls?: Pick<SecureConnectionsOptions, 'plainOnLoopback'>
}

const defaults: HttpLimits = { headersMs: 30_000, checkMs: 5_000, maxConnections: 4096 }

/** Throws ListenError. */
export async function openHttpPort(
  address: Address,
  { tls, setting = 'http', ...limits }: HttpPortOptions = {},
): Promise<HttpPort> {
  const { headersMs, checkMs, maxConnections } = { ...defaults, ...limits }
  const server = createServer({
    // Node's default cuts every request, an upload of hours too, after 300 s.
    requestTimeout: 0,
    headersTimeout: headersMs,
    maxHeaderSize: maxHeadBytes,
    connectionsCheckingInterval: checkMs,
    keepAliveTimeout: keepAliveMs,
    noDelay: true,
  })
  server.maxConnections = maxConnections
  // Loaded only then: plain HTTP is up sooner without it.
  const module = tls === undefined ? undefined : await import('./tls/connections.ts')
  const secured = tls && module?.secureConnections(server, { ...tls, handshakeMs: headersMs })
  makeRoomFromQuiet(server, maxConnections, secured?.carrierOf)
  server.setTimeout(idleMs)
  // No more of them than connections.
  const waiting: [IncomingMessage, ServerResponse][] = []
  const keep = (request: IncomingMessage, response: ServerResponse): void => {
    if (isVersionCheck(request)) answerVersionCheck(response)
    else waiting.push([request, response])
  }
  server.on('request', keep)
  const bound = await listen(server, address, setting)
  const underWay = new Set<Promise<unknown>>()
  let draining: Promise<void> | undefined
  return {
    address: bound,
    scheme: secured === undefined ? 'http' : 'https',
    secure: (pair) => secured?.use(pair),
    serve(listener) {
      const answer = (request: IncomingMessage, response: ServerResponse): void => {
        const answering = Promise.try(listener, request, response).finally(() => underWay.delete(answering))
        underWay.add(answering)
      }
      server.off('request', keep).on('request', answer)
      for (const [request, response] of waiting.splice(0)) if (!response.destroyed) answer(request, response)
    },
    async [Symbol.asyncDispose]() {
      for (const [request] of waiting.splice(0)) request.destroy()
      secured?.close()
      draining ??= drain(server)
      await draining
      // What they work with is closed next.
      const ended = Promise.allSettled(underWay).then(() => undefined)
      await untilOrAfter(ended, endMs, { clock: steadyClock })
    },
  }
}

/**
 * Whether it asks which API this port speaks, which needs nothing that is still to be opened: unless it is from a client that
 * takes the answer for whether it has to sign in.
 */
function isVersionCheck({ method, url, headers }: IncomingMessage): boolean {
  return url === '/v2/' && (method === 'GET' || method === 'HEAD') && !decidesByVersionCheck(headers)
}

/** As the registry does. */
function answerVersionCheck(response: ServerResponse): void {
  const body = '{}'
  response
    .writeHead(200, {
      'Docker-Distribution-Api-Version': 'registry/2.0',
      'Content-Type': 'application/json',
      'Content-Length': body.length,
    })
    .end(body)
}

async function listen(server: Server, { host, port }: Address, setting: string): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'is in use by another process' : error.message
      reject(
        new ListenError(
          `--${setting}: ${host}:${port} ${reason}; choose another with --${setting} HOST:PORT`,
          {
            cause: error,
          },
        ),
      )
    })
    server.listen(port, host, () => resolve())
  })
  const { address, port: bound } = server.address() as AddressInfo
  return formatAddress({ host: address, port: bound })
}

/** Finishes the requests under way, takes no more, and cuts what is still there at the end of its time. */
async function drain(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeIdleConnections()
  const idle = setInterval(() => server.closeIdleConnections(), 100)
  const cut = setTimeout(() => server.closeAllConnections(), drainMs)
  await closed
  clearInterval(idle)
  clearTimeout(cut)
}
