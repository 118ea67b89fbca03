import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type MetricDeclaration, metricTable } from '../../../node/metrics/metric-table.ts'
import { createMetrics } from '../../../node/metrics/metrics.ts'

const root = dirname(dirname(dirname(import.meta.dirname)))
const declared = Object.entries<MetricDeclaration>(metricTable)

/** How every module reports, found in its source. */
const reports = ['src', 'node']
  .flatMap((top) =>
    readdirSync(join(root, top), { recursive: true, encoding: 'utf8' }).map((name) => join(root, top, name)),
  )
  .filter((name) => name.endsWith('.ts'))
  .flatMap((name) => [
    ...readFileSync(name, 'utf8').matchAll(/metrics\.(count|observe|gauge)\(\s*'([a-z_]+)'/g),
  ])
  .map(([, how = '', name = '']) => ({ how, name }))
const types: Record<string, string> = { count: 'counter', observe: 'histogram', gauge: 'gauge' }

describe('the table of metrics', () => {
  it('declares every name that a module reports under, as what it is reported', () => {
    const wrong = reports.filter(
      ({ how, name }) => declared.find(([known]) => known === name)?.[1].type !== types[how],
    )
    expect(wrong).toEqual([])
  })

  it('declares nothing that no module reports', () => {
    const reported = new Set(reports.map(({ name }) => name))
    expect(declared.map(([name]) => name).filter((name) => !reported.has(name))).toEqual([])
  })

  it.each(declared)('names %s as the field does', (name, { type, help }) => {
    expect(name).toMatch(/^shoal_[a-z_]+$/)
    expect(name.endsWith('_total')).toBe(type === 'counter')
    // Base units alone, and at the end but for `_total`.
    expect(name).not.toMatch(/_(ms|milliseconds|minutes|kb|mb|percent)(_|$)/)
    expect(name).not.toMatch(/_(bytes|seconds)_(?!total$)/)
    expect(help).toMatch(/^[A-Z1].*\.$/)
  })
})

describe('metrics', () => {
  it('exist at zero before anything happened, where the labels are known', async () => {
    const { text } = await createMetrics().expose()
    for (const [name, { type }] of declared) expect(text).toContain(`# TYPE ${name} ${type}\n`)
    expect(text).toContain('\nshoal_pulls_total{kind="blob",source="upstream"} 0\n')
    expect(text).toContain('\nshoal_swarm_expulsions_total 0\n')
  })

  it('add up what is counted under labels, in whatever order they are written', async () => {
    const metrics = createMetrics()
    metrics.count('shoal_pulls_total', { kind: 'blob', source: 'peer' })
    metrics.count('shoal_pulls_total', { source: 'peer', kind: 'blob' }, 2)
    metrics.count('shoal_pulls_total', { kind: 'manifest', source: 'peer' }, 4)
    expect((await metrics.expose()).text).toContain('\nshoal_pulls_total{kind="blob",source="peer"} 3\n')
    expect(metrics.read('shoal_pulls_total', { source: 'peer' })).toBe(7)
    expect(metrics.read('shoal_pulls_total', { source: 'local' })).toBe(0)
  })

  it('count what is not declared as other, and no further label', async () => {
    const metrics = createMetrics()
    for (let number = 0; number < 1000; number++) {
      metrics.count('shoal_swarm_misdeeds_total', { misdeed: `x${number}`, peer: `p${number}` })
    }
    const { text } = await metrics.expose()
    expect(text).toContain('\nshoal_swarm_misdeeds_total{misdeed="other"} 1000\n')
    expect(text.match(/^shoal_swarm_misdeeds_total\{/gm)?.length).toBe(5)
  })

  it('put what they observe into buckets that hold those below them', async () => {
    const metrics = createMetrics()
    const name = 'shoal_http_request_duration_seconds'
    for (const seconds of [0.001, 0.0011, 1000]) metrics.observe(name, seconds, { route: 'blob' })
    const { text } = await metrics.expose()
    expect(text).toContain(`\n${name}_bucket{route="blob",le="0.001"} 1\n`)
    expect(text).toContain(`\n${name}_bucket{route="blob",le="0.005"} 2\n`)
    expect(text).toContain(`\n${name}_bucket{route="blob",le="300"} 2\n`)
    expect(text).toContain(`\n${name}_bucket{route="blob",le="+Inf"} 3\n`)
    expect(text).toContain(`\n${name}_count{route="blob"} 3\n`)
    expect(text).toMatch(new RegExp(`^${name}_sum\\{route="blob"\\} 1000\\.002`, 'm'))
  })

  it('leave out a gauge that cannot be read, and tell the others', async () => {
    const metrics = createMetrics()
    metrics.gauge('shoal_disk_free_bytes', () => Promise.reject(new Error('ENOENT: the disk is gone')))
    metrics.gauge('shoal_ready', () => 0)
    const { text } = await metrics.expose()
    expect(text).toContain('\nshoal_ready 0\n')
    expect(text).not.toMatch(/^shoal_disk_free_bytes /m)
  })

  it('read a gauge when they are collected', async () => {
    const metrics = createMetrics()
    expect((await metrics.expose()).text).not.toMatch(/^shoal_swarm_members \d/m)
    let members = 1
    metrics.gauge('shoal_swarm_members', async () => members)
    members = 2
    expect((await metrics.expose()).text).toContain('\nshoal_swarm_members 2\n')
  })

  it('watch the process for nobody who does not read them', async () => {
    let loads = 0
    const metrics = createMetrics(async () => {
      loads++
      return await import('prom-client')
    })
    metrics.count('shoal_store_quarantined_total')
    expect(loads).toBe(0)
    await metrics.expose()
    await metrics.expose()
    expect(loads).toBe(1)
  })

  it('tell of the process as every program does', async () => {
    const { text } = await createMetrics().expose()
    expect(text).toMatch(/^process_resident_memory_bytes \d/m)
    expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds \d/m)
  })
})
