/** Everything that is made of requests: numbers and log lines, and traces and notifications where they are wanted. */
import { type Logger, steadyClock, type Tracer } from '../../src/base/base.ts'
import { auditRequests } from '../audit/audited-requests.ts'
import type { LocalNode } from '../local-node.ts'
import type { NodeMetrics } from '../metrics/metrics.ts'
import { findTraceEndpoint } from '../tracing/trace-endpoint.ts'
import type { FailedPulls } from './failed-pulls.ts'
import { openRequestLog } from './request-log.ts'
import { countRequests } from './request-metrics.ts'
import { createRequestTracer, type RequestListener } from './request-tracer.ts'

export interface Reports extends AsyncDisposable {
  readonly tracer: Tracer
}

export interface ReportsOptions {
  node: LocalNode
  /** HOST:PORT of the registry. */
  address: string
  environment: NodeJS.ProcessEnv
  failedPulls: FailedPulls
  logger: Logger
  metrics: NodeMetrics
}

/** Throws UsageError for an environment that says what makes no sense, WebhookError for a webhook that cannot be used. */
export async function openReports({
  node,
  address,
  environment,
  failedPulls,
  logger,
  metrics,
}: ReportsOptions): Promise<Reports> {
  const { settings, version, membership } = node
  const instance = membership.identity.peerId
  await using opened = new AsyncDisposableStack()
  const isVerbose = ['trace', 'debug'].includes(settings['log-level'])
  const listeners: RequestListener[] = [
    countRequests(
      metrics,
      settings.upstream.map(({ name }) => name),
    ),
    opened.use(openRequestLog(logger, { isVerbose })).listener,
    failedPulls.listener,
    opened.use(auditRequests(node.audit)).listener,
    node.pulls.listener,
  ]
  const common = { clock: steadyClock, random: Math.random, logger, metrics }
  const endpoint = findTraceEndpoint(settings, environment)
  if (endpoint !== undefined) {
    const { openTracing } = await import('../tracing/tracing.ts')
    listeners.push(opened.use(openTracing({ ...endpoint, ...common, instance, version })).listener)
  }
  if (settings.webhook.length > 0) {
    const { openWebhooks } = await import('../webhooks/webhooks.ts')
    const source = { addr: address, instanceID: instance }
    const webhooks = await openWebhooks({ settings: settings.webhook, environment, source, ...common })
    listeners.push(opened.use(webhooks).listener)
  }
  const tracer = createRequestTracer(listeners, logger)
  const resources = opened.move()
  return { tracer, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}
