/** Opens the clients of all configured upstreams. */
import { type Clock, type Metrics, noMetrics, steadyClock } from '../base/base.ts'
import { RemoteUpstream } from './remote-upstream.ts'
import { Transport } from './transport.ts'
import type { UpstreamChange, UpstreamLimits, UpstreamOptions, Upstreams } from './upstream.ts'

export interface UpstreamsOptions {
  upstreams: UpstreamOptions[]
  /** Where HTTP_PROXY, HTTPS_PROXY and NO_PROXY are read; default `process.env`. */
  environment?: NodeJS.ProcessEnv
  clock?: Clock
  metrics?: Metrics
  onChange?(upstream: string, change: UpstreamChange): void
}

const defaultLimits: UpstreamLimits = { maxBlobs: 8, answerMs: 4_000, idleMs: 10_000 }

/** Sends nothing yet. Throws ProxySettingError. */
export async function openUpstreams(options: UpstreamsOptions): Promise<Upstreams> {
  await using opened = new AsyncDisposableStack()
  const all: RemoteUpstream[] = []
  for (const upstream of options.upstreams) all.push(await openRemote(upstream, opened, options))
  const resources = opened.move()
  return {
    all,
    find: (name) => all.find((upstream) => upstream.name === name),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** A registry whose names can be listed, too. */
export type ListedRegistry = Pick<
  RemoteUpstream,
  'statManifest' | 'getManifest' | 'openBlob' | 'listReferrers' | 'listTags' | 'listRepositories'
> &
  AsyncDisposable

/** One registry for itself. Sends nothing yet. Throws ProxySettingError. */
export async function openListedRegistry(
  registry: UpstreamOptions,
  options: Omit<UpstreamsOptions, 'upstreams'> = {},
): Promise<ListedRegistry> {
  await using opened = new AsyncDisposableStack()
  const remote = await openRemote(registry, opened, options)
  const resources = opened.move()
  return Object.assign(remote, { [Symbol.asyncDispose]: () => resources.disposeAsync() })
}

async function openRemote(
  upstream: UpstreamOptions,
  opened: AsyncDisposableStack,
  options: Omit<UpstreamsOptions, 'upstreams'>,
): Promise<RemoteUpstream> {
  const { environment = process.env, clock = steadyClock, metrics = noMetrics } = options
  const onChange = (change: UpstreamChange): void => options.onChange?.(upstream.name, change)
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
  return new RemoteUpstream(upstream, limits, { transport, clock, metrics, onChange })
}
