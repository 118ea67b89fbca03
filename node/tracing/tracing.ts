/** Sends requests as spans to an OpenTelemetry collector, over HTTP as JSON. Loaded only where traces are wanted. */
import type { Clock, Logger, Metrics } from '../../src/base/base.ts'
import { Delivery, type DeliveryLimits } from '../delivery.ts'
import type { RequestListener } from '../requests/request-tracer.ts'
import { envelopeOf, spansOf } from './spans.ts'
import { contextOf } from './trace-context.ts'
import type { TraceEndpoint } from './trace-endpoint.ts'

export interface Tracing extends AsyncDisposable {
  readonly listener: RequestListener
}

export interface TracingOptions extends TraceEndpoint {
  /** The peer id. */
  instance: string
  version: string
  clock: Clock
  /** From 0 to 1. */
  random: () => number
  logger: Logger
  metrics: Metrics
  limits?: Partial<DeliveryLimits>
}

/** So many a second are sent of those about which no caller decided; a node serves many more. */
const tracesPerSecond = 50

const defaultLimits: Partial<DeliveryLimits> = {
  maxTexts: 4096,
  maxBatch: 512,
  lingerMs: 2000,
  maxAgeMs: 60_000,
}

export function openTracing(options: TracingOptions): Tracing {
  const { url, headers, serviceName, instance, version, clock, random, logger, metrics, limits } = options
  const resource = {
    'service.name': serviceName,
    'service.version': version,
    'service.instance.id': instance,
  }
  const delivery = new Delivery({
    what: 'traces',
    url,
    headers,
    contentType: 'application/json',
    envelope: (spans) => envelopeOf(spans, resource, version),
    onResult: (result, count) => metrics.count('shoal_trace_spans_total', { result }, count),
    onRequest: (result) => metrics.count('shoal_trace_requests_total', { result }),
    clock,
    random,
    logger,
    limits: { ...defaultLimits, ...limits },
  })
  let second = 0
  let begun = 0

  const mayBegin = (nowMs: number): boolean => {
    const current = Math.floor(nowMs / 1000)
    if (current !== second) begun = 0
    second = current
    return begun++ < tracesPerSecond
  }

  return {
    listener(finished) {
      const { traceparent } = finished.request.headers
      const context = contextOf(typeof traceparent === 'string' ? traceparent : undefined)
      if (!(context.isSampled ?? mayBegin(finished.endMs))) return
      for (const span of spansOf(finished, context)) delivery.add(span)
    },
    [Symbol.asyncDispose]: () => delivery[Symbol.asyncDispose](),
  }
}
