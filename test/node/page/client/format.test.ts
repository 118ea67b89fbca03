import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatAge,
  formatBytes,
  formatCount,
  formatLatency,
  formatLeft,
  formatList,
  formatPercent,
  formatSpan,
  shortDigest,
  shortPeer,
} from '../../../../node/page/client/format.ts'

describe('the page writes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1024 * 1024 - 1, '1.0 MiB'],
    [48 * 2 ** 20, '48.0 MiB'],
    [3 * 2 ** 40, '3.0 TiB'],
  ])('%d bytes as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })

  it.each([
    [0, 'less than a minute'],
    [60_000, '1 minute'],
    [7_200_000, '2 hours'],
    [40 * 86_400_000, '1 month'],
    [800 * 86_400_000, '2 years'],
  ])('%d ms as %s', (ms, text) => {
    expect(formatSpan(ms)).toBe(text)
  })

  it('ages, also of what a clock ahead has written', () => {
    expect(formatAge(0, 3_600_000)).toBe('1 hour ago')
    expect(formatAge(5_000, 0)).toBe('just now')
  })

  it.each([
    [0.2, '1 s'],
    [59, '59 s'],
    [200, '3 min 20 s'],
    [7500, '2 h 5 min'],
    [1e9, 'more than a day'],
  ])('%d seconds that are left as %s', (seconds, text) => {
    expect(formatLeft(seconds)).toBe(text)
  })

  it('what is not whole never as 100 %', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (part, more) => {
        expect(formatPercent(part, part + more + 1)).not.toBe('100 %')
      }),
    )
    expect([formatPercent(0, 0), formatPercent(1, 3), formatPercent(3, 3)]).toEqual(['0 %', '33 %', '100 %'])
  })

  it('lists as one says them', () => {
    expect(
      [[], ['a'], ['a', 'b'], ['a', 'b', 'c'], ['a', 'b', 'c', 'd']].map((list) => formatList(list)),
    ).toEqual(['', 'a', 'a and b', 'a, b and c', 'a, b and 2 others'])
  })

  it('counts, digests, peers and round trips shortly', () => {
    expect([formatCount(1, 'blob'), formatCount(1204, 'blob')]).toEqual(['1 blob', '1,204 blobs'])
    expect(shortDigest(`sha256:${'ab'.repeat(32)}`)).toBe('abababababab')
    expect(shortPeer('12D3KooWBHKMTFfabcdefgh')).toBe('…abcdefgh')
    expect([formatLatency(0.3), formatLatency(12.7)]).toEqual(['under 1 ms', '13 ms'])
  })
})
