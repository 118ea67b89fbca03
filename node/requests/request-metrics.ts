/** Counts what clients pulled, pushed and deleted. */
import type { Metrics, Pulled } from '../../src/base/base.ts'
import { peerBytes, sourceOf } from './pull-source.ts'
import type { FinishedRequest, RequestListener } from './request-tracer.ts'

/** `upstreams` are the names of those that this node mirrors: what clients read below them is saved unless it was fetched. */
export function countRequests(metrics: Metrics, upstreams: readonly string[] = []): RequestListener {
  const mirrored = new Set(upstreams)
  const isMirrored = (repository: string): boolean =>
    mirrored.has(repository.slice(0, repository.indexOf('/')))

  const countPull = (
    { kind, repository, origins, isComplete }: Pulled,
    { stages, startMs }: FinishedRequest,
  ): void => {
    const source = sourceOf(origins)
    metrics.count('shoal_pulls_total', { kind, source })
    if (!isComplete) metrics.count('shoal_pulls_broken_total', { kind, source })
    const { local, upstream } = origins
    const peer = peerBytes(origins)
    if (local > 0) metrics.count('shoal_pull_bytes_total', { kind, source: 'local' }, local)
    if (peer > 0) metrics.count('shoal_pull_bytes_total', { kind, source: 'peer' }, peer)
    if (upstream > 0) metrics.count('shoal_pull_bytes_total', { kind, source: 'upstream' }, upstream)
    if (isMirrored(repository)) metrics.count('shoal_uplink_saved_bytes_total', {}, local + peer)
    const first = stages.find(({ stage }) => stage === 'first-byte')
    if (first === undefined) return
    metrics.observe('shoal_pull_first_byte_seconds', (first.endMs - startMs) / 1000, { source })
  }

  return (finished) => {
    const { pull, push, deletion } = finished
    if (pull !== undefined) countPull(pull, finished)
    if (push !== undefined) {
      const { kind, size, isMount } = push
      metrics.count('shoal_pushes_total', { kind })
      if (!isMount) metrics.count('shoal_push_bytes_total', { kind }, size)
    }
    if (deletion !== undefined) metrics.count('shoal_deletes_total', { kind: deletion.kind })
  }
}
