/** Everything that is made of requests: numbers, log lines, and traces where they are wanted. */
import { type Logger, systemClock, type Tracer } from '../../src/base/base.ts'
import type { LocalNode } from '../local-node.ts'
import type { NodeMetrics } from '../metrics.ts'
import { findTraceEndpoint } from '../tracing/trace-endpoint.ts'
import { openRequestLog } from './request-log.ts'
import { countRequests } from './request-metrics.ts'
import { createRequestTracer, type RequestListener } from './request-tracer.ts'

export interface Reports extends AsyncDisposable {
  readonly tracer: Tracer
}

export interface ReportsOptions {
  node: LocalNode
  environment: NodeJS.ProcessEnv
  logger: Logger
  metrics: NodeMetrics
}

/** Throws UsageError for an environment that says what makes no sense. */
export async function openReports({ node, environment, logger, metrics }: ReportsOptions): Promise<Reports> {
  const { settings, version, membership } = node
  const instance = membership.identity.peerId
  await using opened = new AsyncDisposableStack()
  const isVerbose = ['trace', 'debug'].includes(settings['log-level'])
  const listeners: RequestListener[] = [
    countRequests(metrics),
    opened.use(openRequestLog(logger, { isVerbose })).listener,
  ]
  const common = { clock: systemClock, random: Math.random, logger, metrics }
  const endpoint = findTraceEndpoint(settings, environment)
  if (endpoint !== undefined) {
    const { openTracing } = await import('../tracing/tracing.ts')
    listeners.push(opened.use(openTracing({ ...endpoint, ...common, instance, version })).listener)
  }
  const tracer = createRequestTracer(listeners, logger)
  const resources = opened.move()
  return { tracer, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}
