import { describe, expect, it } from 'vitest'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatTable,
  printable,
  truncate,
} from '../../../node/screen/output.ts'

describe('output', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [200 * 2 ** 20, '200 MiB'],
    [2 ** 50, '1024 TiB'],
  ])('writes %d bytes as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })

  it.each([
    [0, '0 s'],
    [999, '0 s'],
    [61_000, '1 min 1 s'],
    [3_600_000, '1 h'],
    [3 * 86_400_000 + 4 * 3_600_000 + 5, '3 d 4 h'],
    [86_400_000 + 60_000, '1 d'],
  ])('writes %d ms as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  it('counts in words', () => {
    expect([formatCount(1, 'blob'), formatCount(0, 'blob'), formatCount(2, 'address', 'addresses')]).toEqual([
      '1 blob',
      '0 blobs',
      '2 addresses',
    ])
  })

  it('aligns columns whatever colours they have', () => {
    expect(
      formatTable([
        ['\u001b[1ma\u001b[22m', 'b'],
        ['ccc', 'd'],
      ]),
    ).toBe('\u001b[1ma\u001b[22m    b\nccc  d\n')
  })

  it('shows nothing that a terminal would obey', () => {
    expect(printable('a\u001b[2Jb\nc\u0007\u009b')).toBe('a?[2Jb?c??')
    expect(truncate('abcdef', 4)).toBe('abc…')
  })
})
