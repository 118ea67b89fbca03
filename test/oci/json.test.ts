import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJson } from '../../src/oci/oci.ts'

const parse = (text: string) => parseJson(Buffer.from(text))
const refused = expect.objectContaining({ code: 'MANIFEST_INVALID' })

describe('parseJson', () => {
  it('reads whatever JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => {
        expect(parse(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('throws MANIFEST_INVALID and nothing else, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.string({ unit: fc.constantFrom(...'{}[]":,\\u0 1ae') }).map((s) => Buffer.from(s)),
        ),
        (bytes) => {
          try {
            parseJson(bytes)
          } catch (error) {
            expect(error).toMatchObject({ code: 'MANIFEST_INVALID' })
          }
        },
      ),
    )
  })

  it.each([
    ['{"a":1,"a":2}', 'a key twice'],
    ['{"a":1,"\\u0061":2}', 'a key twice, once escaped'],
    ['{"x":[{"a":1 , "b":{}, "a" :2}]}', 'a key twice, deep inside'],
    ['{"a":1', 'an end too early'],
    ['{"a":1}}', 'more after the end'],
    ['', 'nothing'],
    ['\ufeff{}', 'a byte order mark'],
    ['["\ud800"'.replace('\ud800', '\\ud8'), 'a broken escape'],
  ])('refuses %s: %s', (text) => {
    expect(() => parse(text)).toThrow(refused)
  })

  it('lets the same key stand in different objects, and as a value', () => {
    expect(parse('[{"a":"a"},{"a":["a","a"],"b":{"a":0}}]')).toEqual([
      { a: 'a' },
      { a: ['a', 'a'], b: { a: 0 } },
    ])
  })

  it('refuses bytes that are not UTF-8', () => {
    expect(() => parseJson(Buffer.from([0x22, 0xff, 0x22]))).toThrow(refused)
  })

  it('refuses four megabytes of brackets at once', () => {
    expect(() => parse('['.repeat(4_000_000))).toThrow(/nested deeper/)
  })

  it('keeps __proto__ a key like any other', () => {
    const value = parse('{"__proto__":{"polluted":true}}')
    expect(Object.keys(value as object)).toEqual(['__proto__'])
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})
