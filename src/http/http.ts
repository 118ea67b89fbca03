/** The V2 API over Koa: a path becomes a route, a route a handler, an error an answer. */
import type { RequestListener, ServerResponse } from 'node:http'
import Koa from 'koa'
import type { Access } from '../access/access.ts'
import {
  type Clock,
  type Logger,
  logFailure,
  type Metrics,
  noMetrics,
  noTracer,
  silentLogger,
  steadyClock,
  type Tracer,
} from '../base/base.ts'
import { OciError } from '../oci/oci.ts'
import type { Registry } from '../registry/registry.ts'
import { BodyWatch } from './body-watch.ts'
import { Exchange } from './exchange.ts'
import { challengeTo } from './gate.ts'
import { HeldAnswers } from './held-answers.ts'
import { type Hosts, isCrossSite } from './hosts.ts'
import { sendRefusal } from './refusal.ts'
import { parseRoute } from './route.ts'
import { dispatch } from './routes.ts'

export { type HeldBody, holdBody, leaveBody } from './body.ts'
export { type BodyLimits, BodyWatch, bodyLimits } from './body-watch.ts'
export { clientOf } from './client.ts'
export { HeldAnswers } from './held-answers.ts'
export { Hosts, hostOf, isCrossSite } from './hosts.ts'
export { parseRoute } from './route.ts'

export interface HttpOptions {
  registry: Registry
  /** Which people may do what; without it everybody may everything. */
  access?: Access
  /** Which names are answered to; what is besides the registry decides by itself. */
  hosts: Hosts
  /** Of all that is read on the same port, so that its memory is bounded in all. */
  bodies?: BodyWatch
  /** Of all that stays in memory until it is taken. */
  answers?: HeldAnswers
  /** Answers what is not the registry's: health, metrics, the page. */
  besides?: Koa.Middleware
  logger?: Logger
  metrics?: Metrics
  tracer?: Tracer
  clock?: Clock
  /** Makes of an error's message what a person reads. */
  inWords?(message: string): string
}

/** Answers the requests of a server whose limits are the caller's. */
export function createHttpHandler({
  registry,
  access,
  hosts,
  bodies = new BodyWatch(),
  answers = new HeldAnswers(),
  besides,
  logger = silentLogger,
  metrics = noMetrics,
  tracer = noTracer,
  clock = steadyClock,
  inWords = (message) => message,
}: HttpOptions): RequestListener {
  const app = new Koa()
  let inFlight = 0
  metrics.gauge('shoal_http_requests_in_flight', () => inFlight)
  app.use(async (context, next) => {
    if (!isRegistryPath(context.req.url ?? '')) return next()
    // Handlers write the response themselves: Koa's body handling would cost a third of the speed.
    context.respond = false
    const trace = tracer.start(context.req)
    const exchange = new Exchange(context.req, context.res, { trace, clock, bodies, answers, access })
    const startedMs = performance.now()
    inFlight++
    let name = 'none'
    let failure: unknown
    try {
      refuseStrangers(exchange, hosts)
      const route = parseRoute(exchange.path)
      if (route === undefined) throw notFound(exchange)
      name = route.name
      await dispatch(registry, exchange, route)
    } catch (error) {
      failure = error
      sendRefusal(exchange, error, { logger, inWords, headers: challengeTo(exchange, error) })
    } finally {
      inFlight--
      trace.end(name, context.res.statusCode, failure)
      const labels = { route: name, method: context.method, code: codeOf(context.res) }
      metrics.count('shoal_http_requests_total', labels)
      const seconds = (performance.now() - startedMs) / 1000
      metrics.observe('shoal_http_request_duration_seconds', seconds, { route: name })
    }
  })
  if (besides !== undefined) app.use(besides)
  app.on('error', (error: unknown, context?: Koa.Context) => {
    const { method, url = '' } = context?.req ?? {}
    // Of the registry's requests that is a connection that broke, and whoever answers one has been told.
    if (isRegistryPath(url)) return
    if (isConnectionError(error)) logger.debug({ method, url, reason: error.code }, 'a client left')
    else logFailure(logger, error, 'request failed', { method, url })
  })
  return app.callback()
}

function isConnectionError(error: unknown): error is NodeJS.ErrnoException {
  if (!(error instanceof Error) || !('code' in error)) return false
  return ['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT'].includes(String(error.code))
}

/** As proxies write it, 499 is for a client that left before it was answered. */
function codeOf({ headersSent, statusCode }: ServerResponse): string {
  return headersSent ? String(statusCode) : '499'
}

function isRegistryPath(url: string): boolean {
  return /^\/(?:v[12](?:\/|\?|$)|token(?:\?|$))/.test(url)
}

/** No registry client sends an Origin; a page that does is using its reader's browser to reach this node. */
function refuseStrangers({ request }: Exchange, hosts: Hosts): void {
  const refusal = hosts.refusal(request)
  if (refusal !== undefined) throw new OciError('HOST_UNKNOWN', refusal)
  const { method, headers } = request
  if (isCrossSite(headers)) throw new OciError('DENIED', 'pages of other sites may not ask anything here')
  if (headers.origin !== undefined && method !== 'GET' && method !== 'HEAD')
    throw new OciError('DENIED', 'requests from web pages may not change anything here')
}

function notFound({ path }: Exchange): OciError {
  const hint = path.includes('//')
    ? 'it holds an empty segment'
    : 'see the OCI distribution-spec, "Endpoints"'
  return new OciError('NAME_UNKNOWN', `there is no endpoint at this path; ${hint}`)
}
