/** Metrics for Prometheus: every name that modules may report under, with its help. */
import type { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Metrics } from '../src/base/base.ts'

/** Every name that modules report under; those without the prefix get it here. */
export const metricHelp: Record<string, string> = {
  exchange_faults_total: 'What went wrong with members while blobs moved, by kind.',
  shoal_blob_pulls_total: 'Blobs read by clients, by where they came from.',
  shoal_http_request_seconds: 'Time from a request to the end of its answer.',
  shoal_http_requests_total: 'Requests to the registry API.',
  shoal_manifest_pulls_total:
    'Manifests read by clients that were not cached in memory, by where they came from.',
  shoal_records_refused_total: 'Records from members that were not accepted, by reason.',
  store_read_buffer_bytes: 'Memory that readers of blobs hold.',
  store_upload_sessions: 'Open upload sessions.',
  swarm_announced: 'Digests that this node announces.',
  exchange_transfers: 'Blobs on their way here.',
  exchange_memory_bytes: 'Memory lent to pieces on their way.',
  exchange_received_bytes_total: 'Piece bytes received from members.',
  exchange_sent_bytes_total: 'Piece bytes sent to members.',
  swarm_announced_total: 'Announcements to the DHT, by whether any member took note.',
  swarm_bytes_received_total: 'Content bytes received from members.',
  swarm_bytes_sent_total: 'Content bytes sent to members.',
  swarm_channels_failed_total: 'Channels from members whose handler failed, by protocol.',
  swarm_connections_refused_total: 'Connections refused before a handshake, by reason.',
  swarm_dht_searches_failed_total: 'Searches of the DHT that failed or ran out of time.',
  swarm_fetch_starts_failed_total: 'Providers that failed before their first byte.',
  swarm_gossip_messages_total: 'Gossip messages, by verdict.',
  swarm_handshakes_failed_total: 'Handshakes that failed, as those of strangers do.',
  swarm_have_failed_total: 'Members that did not answer whether they hold a digest.',
  swarm_lookups_total: 'Look-ups of who holds a digest, by whether anybody does.',
  swarm_members: 'Connected members.',
  swarm_misdeeds_total: 'What members did wrong, by kind.',
  swarm_refusals_total: 'Members that were disconnected for what they did.',
  swarm_serves_busy_total: 'Requests for content that were turned away for being too many.',
}

/** Seconds, from a cached manifest to a blob over a slow line. */
const buckets = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300]

export interface PrometheusMetrics extends Metrics {
  /** Loads the client. Until then, reports are kept, up to a number that no start reaches. */
  start(): Promise<void>
  /** The exposition text of everything, and its Content-Type. */
  expose(): Promise<{ text: string; contentType: string }>
}

type Client = typeof import('prom-client')
type Report = (recorder: Recorder) => void

const maxQueued = 10_000

/** A start need not wait for the client: what is reported before it is loaded is counted then. */
export function createMetrics(load: () => Promise<Client> = () => import('prom-client')): PrometheusMetrics {
  const queued: Report[] = []
  let recorder: Recorder | undefined
  let loading: Promise<Recorder> | undefined

  function report(what: Report): void {
    if (recorder !== undefined) what(recorder)
    else if (queued.length < maxQueued) queued.push(what)
  }

  async function open(): Promise<Recorder> {
    const opened = new Recorder(await load())
    for (const what of queued.splice(0)) what(opened)
    recorder = opened
    return opened
  }

  const start = (): Promise<Recorder> => {
    loading ??= open()
    return loading
  }

  return {
    count: (name, labels = {}, by = 1) => report((to) => to.count(name, labels, by)),
    observe: (name, value, labels = {}) => report((to) => to.observe(name, value, labels)),
    gauge: (name, read) => report((to) => to.gauge(name, read)),
    async start() {
      await start()
    },
    async expose() {
      const { registry } = await start()
      return { text: await registry.metrics(), contentType: registry.contentType }
    },
  }
}

/** The Prometheus client with a metric made for each name when it is first reported. */
class Recorder {
  readonly registry: Registry
  readonly #client: Client
  readonly #counters = new Map<string, Counter>()
  readonly #histograms = new Map<string, Histogram>()

  constructor(client: Client) {
    this.#client = client
    this.registry = new client.Registry()
    client.collectDefaultMetrics({ register: this.registry })
  }

  count(name: string, labels: Record<string, string>, by: number): void {
    const make = () => new this.#client.Counter({ ...this.#common(name), labelNames: Object.keys(labels) })
    getOrMake(this.#counters, name, make).inc(labels, by)
  }

  observe(name: string, value: number, labels: Record<string, string>): void {
    const make = () =>
      new this.#client.Histogram({ ...this.#common(name), labelNames: Object.keys(labels), buckets })
    getOrMake(this.#histograms, name, make).observe(labels, value)
  }

  gauge(name: string, read: () => number): void {
    new this.#client.Gauge({
      ...this.#common(name),
      collect(this: Gauge) {
        this.set(read())
      },
    })
  }

  #common(name: string) {
    // A missing text is a fault that a test finds; it must not stop a node.
    const help = metricHelp[name] ?? 'Not described.'
    return { name: name.startsWith('shoal_') ? name : `shoal_${name}`, help, registers: [this.registry] }
  }
}

function getOrMake<T>(metrics: Map<string, T>, name: string, make: () => T): T {
  const known = metrics.get(name)
  if (known !== undefined) return known
  const made = make()
  metrics.set(name, made)
  return made
}
