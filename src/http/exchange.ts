/** One request and its answer, as the route handlers see them. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Access, AccessRight } from '../access/access.ts'
import { type Clock, noTrace, steadyClock, type Trace } from '../base/base.ts'
import type { Repository } from '../oci/oci.ts'
import type { BodyWatch } from './body-watch.ts'
import type { HeldAnswers } from './held-answers.ts'

/** Somebody whose rights are asked. */
export interface Visitor {
  /** Of the account; absent for who did not sign in. */
  readonly name: string | undefined
  may(repository: Repository, right: AccessRight): boolean
}

/** Up to this, a body goes out as text in one piece with its headers: half the kernel's work for a manifest. */
const maxTextBytes = 64 * 1024

interface ExchangeOptions {
  trace?: Trace
  clock?: Clock
  bodies: BodyWatch
  answers: HeldAnswers
  access?: Access | undefined
}

export class Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly path: string
  /** Told what becomes of the request. */
  readonly trace: Trace
  readonly clock: Clock
  readonly bodies: BodyWatch
  readonly answers: HeldAnswers
  readonly access: Access | undefined
  /** Who asks, as far as it matters here: absent where everybody may everything. */
  visitor: Visitor | undefined
  readonly #queryText: string
  #query: URLSearchParams | undefined
  #signal: AbortSignal | undefined

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    { trace = noTrace, clock = steadyClock, bodies, answers, access }: ExchangeOptions,
  ) {
    this.request = request
    this.response = response
    this.trace = trace
    this.clock = clock
    this.bodies = bodies
    this.answers = answers
    this.access = access
    const url = request.url ?? '/'
    const mark = url.indexOf('?')
    this.path = mark === -1 ? url : url.slice(0, mark)
    this.#queryText = mark === -1 ? '' : url.slice(mark + 1)
  }

  get query(): URLSearchParams {
    this.#query ??= new URLSearchParams(this.#queryText)
    return this.#query
  }

  /** A parameter of the query. Most requests have none, and pay nothing for that. */
  param(name: string): string | undefined {
    return this.#queryText === '' ? undefined : (this.query.get(name) ?? undefined)
  }

  /** Aborts when the client goes away before it was answered. */
  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      const controller = new AbortController()
      this.#signal = controller.signal
      const gone = () => {
        if (!this.response.writableFinished) controller.abort(new ClientGoneError())
      }
      if (this.response.closed) gone()
      else this.response.once('close', gone)
    }
    return this.#signal
  }

  get isHead(): boolean {
    return this.request.method === 'HEAD'
  }

  /** A header's value, several lines of it merged. */
  header(name: string): string | undefined {
    const value = this.request.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }

  /** Begins an answer. All headers at once: set one by one they cost twice as much. */
  head(status: number, headers: Record<string, string | number>): ServerResponse {
    return this.response.writeHead(status, {
      'Docker-Distribution-Api-Version': 'registry/2.0',
      ...this.#namespaceHeader(),
      ...headers,
    })
  }

  /** Says that the answer is about the registry that `ns` names (distribution-spec, "Registry Proxying"). */
  #namespaceHeader(): { 'OCI-Namespace'?: string } {
    const namespace = this.param('ns')
    return namespace !== undefined && namespacePattern.test(namespace) ? { 'OCI-Namespace': namespace } : {}
  }

  /** Answers with a body that is in memory; HEAD gets the same headers without it. */
  send(status: number, headers: Record<string, string | number>, body?: Uint8Array | string): void {
    const length = body === undefined ? 0 : Buffer.byteLength(body)
    // 204 and 304 have no body, so no length either (RFC 9110, section 8.6).
    const all = status === 204 || status === 304 ? headers : { ...headers, 'Content-Length': length }
    const response = this.head(status, all)
    if (this.isHead || body === undefined) response.end()
    else if (typeof body === 'string' || length > maxTextBytes) response.end(body)
    else response.end(textOf(body), 'latin1')
  }

  sendJson(status: number, value: unknown, headers: Record<string, string | number> = {}): void {
    this.send(status, { 'Content-Type': 'application/json', ...headers }, JSON.stringify(value))
  }
}

/** Latin-1 maps each byte to the character of its number, so this is the same bytes. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** A host, with a port or without: nothing else goes into a header. */
const namespacePattern = /^[\w.:[\]-]{1,255}$/

/** The client hung up; nobody is left to answer. */
export class ClientGoneError extends Error {
  constructor() {
    super('the client closed the connection')
    this.name = 'ClientGoneError'
  }
}
