/** HTTP to one upstream and to where it refers: own connections for each of both, its CA, proxies, and time limits. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import { getCACertificates } from 'node:tls'
import type { buildConnector, EnvHttpProxyAgent } from 'undici'
import { type AddressKind, kindOfAddress, kindOfHost } from './address-kinds.ts'
import { ForbiddenAddressError, guardedLookup, isReferable } from './guard.ts'
import { readProxies } from './proxies.ts'

export interface Request {
  method: 'GET' | 'HEAD' | 'POST'
  url: URL
  headers: Record<string, string>
  body?: string
}

/** By name in lower case; those that came several times are one list (RFC 9110, 5.3). */
export type AnswerHeaders = Readonly<Record<string, string | undefined>>

/** The head of an answer; the body has to be read or destroyed. */
export interface Answer {
  url: URL
  status: number
  headers: AnswerHeaders
  body: Readable
}

export interface TransportOptions {
  /** The upstream's own. */
  origin: string
  /** PEM; trusted beside the authorities that Node trusts. */
  certificateAuthority: string | undefined
  /** From the request to the head of its answer, connecting included. */
  answerMs: number
  /** A body that moves no byte for this long is cut. */
  idleMs: number
  /** Where HTTP_PROXY, HTTPS_PROXY and NO_PROXY are read. */
  environment: NodeJS.ProcessEnv
}

/** Too much time has passed. */
export class AnswerTimeoutError extends Error {
  readonly code = 'ANSWER_TIMEOUT'

  constructor() {
    super('no answer in time')
  }
}

/** Hosts besides the upstream itself that connections are kept to at once. */
const maxOtherHosts = 32
/** More than are ever wanted at once, so that a request waits for its turn in line and not for a connection. */
const connectionsPerHost = 128
const keepAliveMs = 30_000

export class Transport implements AsyncDisposable {
  readonly #options: TransportOptions
  readonly #own: EnvHttpProxyAgent
  readonly #others: EnvHttpProxyAgent
  /** Where the upstream itself was last found. */
  #ownKind: AddressKind | undefined

  static async open(options: TransportOptions): Promise<Transport> {
    // Loaded only where there is an upstream: it takes as long as a tenth of a node's start.
    return new Transport(options, await import('undici'))
  }

  private constructor(options: TransportOptions, undici: typeof import('undici')) {
    this.#options = options
    this.#ownKind = kindOfHost(new URL(options.origin).hostname)
    const { answerMs, idleMs, certificateAuthority } = options
    const trusted =
      certificateAuthority === undefined
        ? {}
        : { ca: [...getCACertificates('default'), certificateAuthority] }
    const common = {
      // Even where they are empty: undici would read the process's own environment.
      ...readProxies(options.environment),
      // One blob may fill a connection, so each has its own.
      allowH2: false,
      connections: connectionsPerHost,
      connectTimeout: answerMs,
      headersTimeout: answerMs,
      bodyTimeout: idleMs,
      keepAliveTimeout: keepAliveMs,
      requestTls: trusted,
    }
    const connectOwn = undici.buildConnector({ ...trusted, allowH2: false, timeout: answerMs })
    this.#own = new undici.EnvHttpProxyAgent({ ...common, connect: this.#noting(connectOwn) })
    const lookup = guardedLookup(() => this.#ownKind)
    const connectOther = undici.buildConnector({ ...trusted, lookup, allowH2: false, timeout: answerMs })
    this.#others = new undici.EnvHttpProxyAgent({
      ...common,
      maxOrigins: maxOtherHosts,
      connect: connectOther,
    })
  }

  /** Follows nothing. Throws what undici throws, AnswerTimeoutError, ForbiddenAddressError, or the signal's reason. */
  async send(
    { method, url, headers, body }: Request,
    { signal }: { signal?: AbortSignal | undefined },
  ): Promise<Answer> {
    const isOwn = url.origin === this.#options.origin
    if (!isOwn) this.#checkHost(url)
    const late = new AbortController()
    const { answerMs } = this.#options
    const timer = setTimeout(() => late.abort(new AnswerTimeoutError()), answerMs)
    try {
      const answer = await (isOwn ? this.#own : this.#others).request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers,
        signal: signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]),
        ...(body === undefined ? {} : { body }),
      })
      // Whoever reads the body gets its error; one that is thrown away ends with an error too.
      answer.body.on('error', () => undefined)
      return { url, status: answer.statusCode, headers: joined(answer.headers), body: answer.body }
    } finally {
      clearTimeout(timer)
    }
  }

  /** An address is not looked up, so that it is checked here; behind a proxy this is all that can be checked. */
  #checkHost(url: URL): void {
    const kind = kindOfHost(url.hostname)
    if (kind !== undefined && !isReferable(kind, this.#ownKind))
      throw new ForbiddenAddressError(url.hostname, kind)
  }

  #noting(connect: buildConnector.connector): buildConnector.connector {
    return (options, callback) =>
      connect(options, (...[error, socket]) => {
        // After the TLS handshake: only the upstream itself can say where it lives.
        if (socket?.remoteAddress !== undefined) this.#ownKind = kindOfAddress(socket.remoteAddress)
        if (error === null) callback(null, socket)
        else callback(error, null)
      })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#own.destroy(), this.#others.destroy()])
  }
}

function joined(headers: IncomingHttpHeaders): AnswerHeaders {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  )
}
