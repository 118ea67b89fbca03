/**
 * By which names this node answers, and to whose pages. Whoever owns a name can make it lead here after a browser has loaded
 * a page from it (DNS rebinding); nobody can do that with an address, or with a name that only this host gives.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { Logger } from '../base/base.ts'

/** What every host, and the containers on it, resolve by themselves; nobody can register them (RFC 6761, `.internal`). */
const everyHosts = ['localhost', '*.localhost', 'host.docker.internal', 'host.containers.internal']
/** Names that are written to the log in a while; a stranger can make up as many as they like. */
const maxToldNames = 32
const tellAgainMs = 3_600_000

export interface HostsOptions {
  /** Besides those that every host has: names, `*.NAME` for all below one, or `*` for all there are. */
  names: readonly string[]
  logger: Logger
  /** Monotonic. */
  nowMs?: () => number
}

export class Hosts {
  readonly #names = new Set<string>()
  readonly #suffixes: string[] = []
  readonly #logger: Logger
  readonly #nowMs: () => number
  readonly #told = new Set<string>()
  #toldSinceMs = 0

  constructor({ names, logger, nowMs = () => performance.now() }: HostsOptions) {
    this.#logger = logger
    this.#nowMs = nowMs
    for (const given of [...everyHosts, ...names]) {
      const name = given.toLowerCase().replace(/\.$/, '')
      if (name.startsWith('*')) this.#suffixes.push(name.slice(1))
      else this.#names.add(name)
    }
  }

  /** Why the request is not answered, in words; `undefined` where it is. */
  refusal(request: IncomingMessage): string | undefined {
    const { host } = request.headers
    if (this.#admits(host)) return undefined
    const shown = (host ?? '').slice(0, 100)
    this.#tell(shown, request)
    const name = hostOf(shown) ?? 'NAME'
    return `this node does not answer to the name "${shown}"; use its address or own name, or start it with --allow-host ${name}`
  }

  #admits(header: string | undefined): boolean {
    // Browsers send it always; what speaks HTTP/1.0 without it is a health check.
    if (header === undefined || header === '') return true
    const host = hostOf(header)
    if (host === undefined) return this.#suffixes.includes('')
    if (isIP(host) !== 0 || this.#names.has(host)) return true
    return this.#suffixes.some((suffix) => host.endsWith(suffix) && host.length > suffix.length)
  }

  #tell(host: string, { method, url, socket }: IncomingMessage): void {
    if (this.#nowMs() - this.#toldSinceMs > tellAgainMs) {
      this.#told.clear()
      this.#toldSinceMs = this.#nowMs()
    }
    if (this.#told.has(host) || this.#told.size >= maxToldNames) return
    this.#told.add(host)
    this.#logger.warn(
      { host, client: socket.remoteAddress, method, url: url?.slice(0, 200) },
      'refused a request for a name that is not this node’s; --allow-host NAME lets it in',
    )
  }
}

/** Whether a browser makes the request for a page of another site, which could not even read the answer. */
export function isCrossSite(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  // The scheme is not compared: a proxy may have taken TLS off.
  return headers.origin !== undefined && URL.parse(headers.origin)?.host !== headers.host?.toLowerCase()
}

/** Without the port, the brackets, the zone and the final dot, in lower case; `undefined` for what is no host. */
export function hostOf(header: string): string | undefined {
  const [, address, name] =
    /^(?:\[([0-9a-fA-F:.]{2,45})(?:%[\w.%-]{1,40})?\]|([a-zA-Z0-9_-][a-zA-Z0-9._-]{0,252}))(?::\d{1,5})?$/.exec(
      header,
    ) ?? []
  return address ?? name?.toLowerCase().replace(/\.$/, '')
}
