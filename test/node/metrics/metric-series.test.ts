import { describe, expect, it } from 'vitest'
import { MetricSeries } from '../../../node/metrics/metric-series.ts'

const open = () =>
  new MetricSeries(
    { type: 'counter', help: '', labels: { upstream: 'configured', way: ['in', 'out'] } },
    () => ({
      total: 0,
    }),
  )

describe('the series of a metric', () => {
  it('are bounded, whatever configuration names', () => {
    const series = open()
    for (let number = 0; number < 10_000; number++) series.of({ upstream: `u${number}`, way: 'in' }).total++
    const all = [...series.matching()]
    expect(all.length).toBeLessThan(600)
    expect(all.reduce((sum, { cell }) => sum + cell.total, 0)).toBe(10_000)
    expect(series.of({ upstream: 'other', way: 'other' }).total).toBeGreaterThan(9000)
  })

  it('are found by some of their labels', () => {
    const series = open()
    series.of({ upstream: 'a', way: 'in' })
    series.of({ upstream: 'a', way: 'out' })
    series.of({ upstream: 'b', way: 'in' })
    expect([...series.matching({ upstream: 'a' })].map(({ values }) => values)).toEqual([
      ['a', 'in'],
      ['a', 'out'],
    ])
  })
})
