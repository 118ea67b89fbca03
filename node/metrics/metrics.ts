/** Metrics for Prometheus: what modules report, kept as plain numbers and written out when they are asked for. */
import type { Registry } from 'prom-client'
import type { Metrics, ReadGauge } from '../../src/base/base.ts'
import { late } from '../late.ts'
import { exposeMetric, expositionType, numberText, type Sample } from './exposition.ts'
import { type LabelsOf, MetricSeries } from './metric-series.ts'
import { type MetricDeclaration, type MetricName, metricTable } from './metric-table.ts'

export interface NodeMetrics extends Metrics {
  /** The exposition text of everything, and its Content-Type. */
  expose(): Promise<{ text: string; contentType: string }>
  /** A counter as it stands, summed over all series that have these labels. */
  read(name: MetricName, labels?: LabelsOf): number
}

type Metric = { readonly declaration: MetricDeclaration } & (
  | { readonly type: 'counter'; readonly series: MetricSeries<{ total: number }> }
  | { readonly type: 'histogram'; readonly series: MetricSeries<Distribution> }
  | { readonly type: 'gauge'; readonly series: MetricSeries<{ read?: ReadGauge }> }
)

interface Distribution {
  /** One more than there are buckets, for what is above them all. */
  readonly counts: number[]
  sum: number
}

type Client = typeof import('prom-client')

/** The event loop's lag is seen when a timer of this interval is late. At the usual 10 ms that is half of what an idle node costs. */
const eventLoopEveryMs = 100

export function createMetrics(load: () => Promise<Client> = () => import('prom-client')): NodeMetrics {
  const metrics = new Map(
    Object.entries<MetricDeclaration>(metricTable).map(([name, declaration]) => [
      name,
      metricOf(declaration),
    ]),
  )
  let watching: Promise<Registry> | undefined

  async function watch(): Promise<Registry> {
    const { Registry, collectDefaultMetrics } = await late(load)
    const register = new Registry()
    collectDefaultMetrics({ register, eventLoopMonitoringPrecision: eventLoopEveryMs })
    return register
  }

  // From the first time on that somebody reads the metrics: nobody else needs to be woken for them.
  const start = (): Promise<Registry> => {
    watching ??= watch()
    return watching
  }

  // A name that the table lacks is a fault that a test finds; it must not stop a node.
  return {
    count(name, labels = {}, by = 1) {
      const metric = metrics.get(name)
      if (metric?.type === 'counter') metric.series.of(labels).total += by
    },
    observe(name, value, labels = {}) {
      const metric = metrics.get(name)
      if (metric?.type !== 'histogram') return
      const distribution = metric.series.of(labels)
      distribution.sum += value
      const bucket = metric.declaration.buckets?.findIndex((bound) => value <= bound) ?? -1
      const { counts } = distribution
      const index = bucket === -1 ? counts.length - 1 : bucket
      counts[index] = (counts[index] ?? 0) + 1
    },
    gauge(name, read, labels = {}) {
      const metric = metrics.get(name)
      if (metric?.type === 'gauge') metric.series.of(labels).read = read
    },
    async expose() {
      const ofProcess = await (await start()).metrics()
      const own = await Promise.all([...metrics].map(([name, metric]) => expose(name, metric)))
      return { text: `${own.join('')}${ofProcess}`, contentType: expositionType }
    },
    read(name, labels = {}) {
      const metric = metrics.get(name)
      if (metric?.type !== 'counter') return 0
      return [...metric.series.matching(labels)].reduce((sum, { cell }) => sum + cell.total, 0)
    },
  }
}

function metricOf(declaration: MetricDeclaration): Metric {
  const { type, buckets = [] } = declaration
  if (type === 'counter') {
    return { declaration, type, series: new MetricSeries(declaration, () => ({ total: 0 })) }
  }
  if (type === 'gauge') return { declaration, type, series: new MetricSeries(declaration, () => ({})) }
  const empty = (): Distribution => ({ counts: new Array(buckets.length + 1).fill(0), sum: 0 })
  return { declaration, type, series: new MetricSeries(declaration, empty) }
}

async function expose(name: string, metric: Metric): Promise<string> {
  const { type, help, buckets = [] } = metric.declaration
  const { names } = metric.series
  const samples: Sample[] = []
  for (const { values, cell } of metric.series.matching()) {
    const labels = names.map((label, index) => [label, values[index] ?? ''] as const)
    if ('total' in cell) samples.push({ suffix: '', labels, value: cell.total })
    else if ('counts' in cell) samples.push(...samplesOf(cell, buckets, labels))
    else {
      const value = await readOf(cell)
      if (value !== undefined) samples.push({ suffix: '', labels, value })
    }
  }
  return exposeMetric(name, type, help, samples)
}

/** `undefined` for what cannot be read, such as a disk that is gone: the others are wanted most then, and `/readyz` says why. */
async function readOf({ read }: { read?: ReadGauge }): Promise<number | undefined> {
  try {
    return await read?.()
  } catch {
    return undefined
  }
}

/** Each bucket counts what is in those below it as well. */
function samplesOf(
  { counts, sum }: Distribution,
  buckets: readonly number[],
  labels: Sample['labels'],
): Sample[] {
  let count = 0
  const samples = counts.map((inBucket, index): Sample => {
    count += inBucket
    const bound = numberText(buckets[index] ?? Number.POSITIVE_INFINITY)
    return { suffix: '_bucket', labels: [...labels, ['le', bound]], value: count }
  })
  return [...samples, { suffix: '_sum', labels, value: sum }, { suffix: '_count', labels, value: count }]
}
