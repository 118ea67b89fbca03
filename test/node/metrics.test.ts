import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createMetrics, metricHelp } from '../../node/metrics.ts'

const src = join(dirname(dirname(import.meta.dirname)), 'src')

/** How every module reports, found in its source. */
const reports = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .flatMap((name) => [
    ...readFileSync(join(src, name), 'utf8').matchAll(/metrics\.(count|observe|gauge)\(\s*'([a-z_]+)'/g),
  ])
  .map(([, kind, name]) => ({ kind, name: name ?? '' }))

describe('metrics', () => {
  it('describe every name that a module reports under', async () => {
    const metrics = createMetrics()
    const seen = new Set<string>()
    for (const { kind, name } of reports) {
      if (seen.has(name)) continue
      seen.add(name)
      if (kind === 'count') metrics.count(name)
      else if (kind === 'observe') metrics.observe(name, 1)
      else metrics.gauge(name, () => 1)
    }
    expect(seen.size).toBeGreaterThan(10)
    expect([...seen].filter((name) => metricHelp[name] === undefined)).toEqual([])
    const { text } = await metrics.expose()
    for (const name of seen)
      expect(text).toContain(`# HELP ${name.startsWith('shoal_') ? '' : 'shoal_'}${name} `)
  })

  it('add up what is counted under labels', async () => {
    const metrics = createMetrics()
    metrics.count('shoal_blob_pulls_total', { source: 'peer' })
    metrics.count('shoal_blob_pulls_total', { source: 'peer' }, 2)
    expect((await metrics.expose()).text).toContain('shoal_blob_pulls_total{source="peer"} 3')
  })
})
