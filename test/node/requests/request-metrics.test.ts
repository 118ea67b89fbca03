import { expect, it } from 'vitest'
import { createMetrics } from '../../../node/metrics/metrics.ts'
import { countRequests } from '../../../node/requests/request-metrics.ts'
import { blobPull, digest, finished, manifestPull, startMs } from './finished.ts'

it('counts each byte for where it came from, and the pull for the farthest of them', async () => {
  const metrics = createMetrics()
  const count = countRequests(metrics)
  const peers = new Map([
    ['a', 20],
    ['b', 30],
  ])
  const stages = [{ stage: 'first-byte', startMs, endMs: startMs + 20 }] as const
  count(finished({ pull: manifestPull({ local: 7 }) }))
  count(finished({ stages, pull: blobPull({ local: 10, peers }) }))
  count(finished({ pull: blobPull({ upstream: 5, peers }, { isComplete: false }) }))
  const { text } = await metrics.expose()
  expect(text).toContain('\nshoal_pulls_total{kind="manifest",source="local"} 1\n')
  expect(text).toContain('\nshoal_pulls_total{kind="blob",source="peer"} 1\n')
  expect(text).toContain('\nshoal_pulls_total{kind="blob",source="upstream"} 1\n')
  expect(text).toContain('\nshoal_pulls_broken_total{kind="blob",source="upstream"} 1\n')
  expect(text).toContain('\nshoal_pull_bytes_total{kind="blob",source="peer"} 100\n')
  expect(text).toContain('\nshoal_pull_bytes_total{kind="blob",source="local"} 10\n')
  expect(text).toContain('\nshoal_pull_first_byte_seconds_bucket{source="peer",le="0.02"} 1\n')
})

it('counts as saved what clients read of a mirrored name and no upstream sent for it', () => {
  const metrics = createMetrics()
  const count = countRequests(metrics, ['docker.io'])
  const peers = new Map([['a', 20]])
  for (const repository of ['docker.io/library/alpine', 'docker.io-mirror/app', 'docker', 'team/docker.io']) {
    count(finished({ pull: blobPull({ local: 3, upstream: 100, peers }, { repository }) }))
  }
  expect(metrics.read('shoal_uplink_saved_bytes_total')).toBe(23)
})

it('counts the bytes of pushes, and none for what was mounted', () => {
  const metrics = createMetrics()
  const count = countRequests(metrics)
  const push = { kind: 'blob', repository: 'team/app', digest, mediaType: 'm', size: 5, tags: [] } as const
  count(finished({ push: { ...push, isMount: false } }))
  count(finished({ push: { ...push, isMount: true } }))
  count(finished({ deletion: { kind: 'tag', repository: 'team/app', reference: '1.0' } }))
  expect(metrics.read('shoal_pushes_total')).toBe(2)
  expect(metrics.read('shoal_push_bytes_total')).toBe(5)
  expect(metrics.read('shoal_deletes_total', { kind: 'tag' })).toBe(1)
})
