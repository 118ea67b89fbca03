import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseContentRange, parseRange } from '../../src/oci/oci.ts'

describe('parseRange', () => {
  it.each([
    ['bytes=0-', 10, { start: 0, end: 10 }],
    ['bytes=3-5', 10, { start: 3, end: 6 }],
    ['bytes=3-100', 10, { start: 3, end: 10 }],
    ['bytes=-4', 10, { start: 6, end: 10 }],
    ['bytes=-40', 10, { start: 0, end: 10 }],
    ['bytes=9-9', 10, { start: 9, end: 10 }],
  ])('reads %s of %d bytes', (header, size, range) => {
    expect(parseRange(header, size)).toEqual(range)
  })

  it.each([undefined, '', 'bytes=-', 'bytes=5-3', 'bytes=0-1,3-4', 'chunks=0-1', 'bytes=a-b', '0-5'])(
    'ignores %s, as a server may',
    (header) => {
      expect(parseRange(header, 10)).toBeUndefined()
    },
  )

  it.each([
    ['bytes=10-', 10],
    ['bytes=100-200', 10],
    ['bytes=-0', 10],
    ['bytes=0-', 0],
    ['bytes=999999999999999-', 10],
  ])('refuses %s of %d bytes', (header, size) => {
    expect(() => parseRange(header, size)).toThrow(expect.objectContaining({ code: 'RANGE_INVALID' }))
  })

  it('never reaches outside of the bytes, whatever the header', () => {
    const header = fc.oneof(
      fc.string(),
      fc.tuple(fc.nat(), fc.nat()).map(([a, b]) => `bytes=${a}-${b}`),
    )
    fc.assert(
      fc.property(header, fc.nat(), (text, size) => {
        try {
          const { start, end } = parseRange(text, size) ?? { start: 0, end: size }
          expect(start).toBeGreaterThanOrEqual(0)
          expect(end).toBeLessThanOrEqual(size)
          expect(end).toBeGreaterThanOrEqual(start)
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
