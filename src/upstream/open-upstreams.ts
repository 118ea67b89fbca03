/** Opens the clients of all configured upstreams. */
import { type Clock, type Metrics, noMetrics, steadyClock } from '../base/base.ts'
import { RemoteUpstream } from './remote-upstream.ts'
import { Transport } from './transport.ts'
import type { UpstreamLimits, UpstreamOptions, Upstreams } from './upstream.ts'

export interface UpstreamsOptions {
  upstreams: UpstreamOptions[]
  /** Where HTTP_PROXY, HTTPS_PROXY and NO_PROXY are read; default `process.env`. */
  environment?: NodeJS.ProcessEnv
  clock?: Clock
  metrics?: Metrics
}

const defaultLimits: UpstreamLimits = { maxBlobs: 8, answerMs: 4_000, idleMs: 10_000 }

/** Sends nothing yet. Throws ProxySettingError. */
export async function openUpstreams(options: UpstreamsOptions): Promise<Upstreams> {
  const { environment = process.env, clock = steadyClock, metrics = noMetrics } = options
  await using opened = new AsyncDisposableStack()
  const all: RemoteUpstream[] = []
  for (const upstream of options.upstreams) {
    const limits = { ...defaultLimits, ...upstream.limits }
    const transport = opened.use(
      await Transport.open({
        origin: upstream.url.origin,
        certificateAuthority: upstream.certificateAuthority,
        answerMs: limits.answerMs,
        idleMs: limits.idleMs,
        environment,
      }),
    )
    all.push(new RemoteUpstream(upstream, limits, { transport, clock, metrics }))
  }
  const resources = opened.move()
  return {
    all,
    find: (name) => all.find((upstream) => upstream.name === name),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
