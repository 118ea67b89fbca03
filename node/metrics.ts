/** Metrics for Prometheus: every name that modules may report under, with its help. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Metrics } from '../src/base/base.ts'

const counters: Record<string, { help: string; labels: string[] }> = {
  shoal_http_requests_total: { help: 'Requests to the registry API.', labels: ['route', 'method', 'code'] },
  shoal_manifest_pulls_total: { help: 'Manifests read, by where they came from.', labels: ['source'] },
  shoal_blob_pulls_total: { help: 'Blobs read, by where they came from.', labels: ['source'] },
}

const histograms: Record<string, { help: string; labels: string[]; buckets: number[] }> = {
  shoal_http_request_seconds: {
    help: 'Time from a request to the end of its answer.',
    labels: ['route'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300],
  },
}

export interface PrometheusMetrics extends Metrics {
  /** The exposition text of everything. */
  expose(): Promise<string>
  readonly contentType: string
}

export function createMetrics(): PrometheusMetrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const counterOf = new Map(
    Object.entries(counters).map(([name, { help, labels }]) => {
      return [name, new Counter({ name, help, labelNames: labels, registers })]
    }),
  )
  const histogramOf = new Map(
    Object.entries(histograms).map(([name, { help, labels, buckets }]) => {
      return [name, new Histogram({ name, help, labelNames: labels, buckets, registers })]
    }),
  )
  return {
    count: (name, labels = {}, by = 1) => declared(counterOf, name).inc(labels, by),
    observe: (name, value, labels = {}) => declared(histogramOf, name).observe(labels, value),
    gauge: (name, read) => {
      new Gauge({
        name,
        help: `Current ${name}.`,
        registers,
        collect() {
          this.set(read())
        },
      })
    },
    expose: () => registry.metrics(),
    contentType: registry.contentType,
  }
}

function declared<T>(metrics: Map<string, T>, name: string): T {
  const metric = metrics.get(name)
  if (metric === undefined) throw new Error(`the metric ${name} is not declared in node/metrics.ts`)
  return metric
}
