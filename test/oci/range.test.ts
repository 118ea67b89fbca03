import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseContentRange, parseRanges } from '../../src/oci/oci.ts'

describe('parseRanges', () => {
  it.each([
    ['bytes=0-', 10, { start: 0, end: 10 }],
    ['bytes=3-5', 10, { start: 3, end: 6 }],
    ['bytes=3-100', 10, { start: 3, end: 10 }],
    ['bytes=-4', 10, { start: 6, end: 10 }],
    ['bytes=-40', 10, { start: 0, end: 10 }],
    ['bytes=9-9', 10, { start: 9, end: 10 }],
    ['bytes=3-18446744073709551615', 10, { start: 3, end: 10 }],
    ['bytes=-9223372036854775807', 10, { start: 0, end: 10 }],
  ])('reads %s of %d bytes', (header, size, range) => {
    expect(parseRanges(header, size)).toEqual([range])
  })

  it.each([undefined, '', 'bytes=-', 'bytes=0-1,b', 'bytes=0-1,', 'chunks=0-1', 'bytes=a-b', '0-5'])(
    'ignores %s, as a server may',
    (header) => {
      expect(parseRanges(header, 10)).toBeUndefined()
    },
  )

  it.each([
    ['bytes=10-', 10],
    ['bytes=100-200', 10],
    ['bytes=-0', 10],
    ['bytes=0-', 0],
    ['bytes=5-3', 10],
    ['bytes=0-1,3-2', 10],
    ['bytes=999999999999999-', 10],
    ['bytes=18446744073709551615-', 10],
  ])('refuses %s of %d bytes', (header, size) => {
    expect(() => parseRanges(header, size)).toThrow(expect.objectContaining({ code: 'RANGE_INVALID' }))
  })

  it.each([
    ['bytes=0-1,3-4', [0, 2], [3, 5]],
    ['bytes=5-6, 0-1', [5, 7], [0, 2]],
    ['bytes=0-1,2-3', [0, 2], [2, 4]],
    ['bytes=0-1,50-60', [0, 2]],
    ['bytes=-1,-2,5-6', [5, 7], [8, 10]],
    ['bytes=4-8,0-1,1-3', [0, 4], [4, 9]],
  ])('reads %s as several ranges, none of which overlap', (header, ...expected) => {
    expect(parseRanges(header, 10)).toEqual(expected.map(([start, end]) => ({ start, end })))
  })

  it('reads 1024 ranges, and ignores more', () => {
    const items = Array.from({ length: 1025 }, (_, index) => `${2 * index}-${2 * index}`)
    expect(parseRanges(`bytes=${items.slice(1).join(',')}`, 10_000)).toHaveLength(1024)
    expect(parseRanges(`bytes=${items.join(',')}`, 10_000)).toBeUndefined()
  })

  it('never reaches outside of the bytes, and asks for none of them twice, whatever the header', () => {
    const item = fc.tuple(fc.option(fc.nat(200)), fc.option(fc.nat(200)))
    const header = fc.oneof(
      fc.string(),
      fc
        .array(item, { minLength: 1, maxLength: 40 })
        .map((items) => `bytes=${items.map(([a, b]) => `${a ?? ''}-${b ?? ''}`).join(',')}`),
    )
    fc.assert(
      fc.property(header, fc.nat(200), (text, size) => {
        try {
          const counts = new Uint8Array(size)
          for (const { start, end } of parseRanges(text, size) ?? []) {
            expect(start).toBeGreaterThanOrEqual(0)
            expect(end).toBeGreaterThan(start)
            expect(end).toBeLessThanOrEqual(size)
            for (let at = start; at < end; at++) counts[at] = (counts[at] ?? 0) + 1
          }
          expect(Math.max(0, ...counts)).toBeLessThanOrEqual(1)
        } catch (error) {
          expect(error).toMatchObject({ code: 'RANGE_INVALID' })
        }
      }),
    )
  })
})

describe('parseContentRange', () => {
  it('reads inclusive bytes without a unit', () => {
    expect(parseContentRange('0-1023')).toEqual({ start: 0, end: 1024 })
    expect(parseContentRange('5-5')).toEqual({ start: 5, end: 6 })
  })

  it.each(['bytes=0-4', 'bytes 0-4/5', '5-4', '-4', '4-', '', 'a-b', '0-99999999999999999'])(
    'refuses %j',
    (header) => {
      expect(() => parseContentRange(header)).toThrow(expect.objectContaining({ code: 'RANGE_INVALID' }))
    },
  )
})
