import { describe, expect, it } from 'vitest'
import { exposeMetric } from '../../../node/metrics/exposition.ts'

describe('the text format', () => {
  it('escapes what would end a line or a value', () => {
    const labels = [['path', 'a"b\\c\nd']] as const
    expect(exposeMetric('m', 'counter', 'One\nline \\.', [{ suffix: '', labels, value: 1 }])).toBe(
      '# HELP m One\\nline \\\\.\n# TYPE m counter\nm{path="a\\"b\\\\c\\nd"} 1\n',
    )
  })

  it.each([
    [Number.POSITIVE_INFINITY, '+Inf'],
    [Number.NEGATIVE_INFINITY, '-Inf'],
    [Number.NaN, 'NaN'],
    [1e21, '1e+21'],
    [0.1, '0.1'],
  ])('writes %d as %s', (value, text) => {
    expect(exposeMetric('m', 'gauge', 'Help.', [{ suffix: '', labels: [], value }])).toContain(
      `\nm ${text}\n`,
    )
  })
})
