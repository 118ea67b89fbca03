import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
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

  it('refuses a key that stands twice in one object, wherever that is and however it is written, and nothing else', () => {
    /** Objects are lists of entries, in which a key may stand twice. */
    type Tree = number | Tree[] | { entries: [string, Tree][] }
    const key = fc.constantFrom(
      'a',
      '\\u0061',
      'b',
      '\\\\',
      '\\"',
      '"'.replace('"', ','),
      '__proto__',
      '{',
      '',
    )
    const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.nat(),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.record({ entries: fc.array(fc.tuple(key, tie('tree')), { maxLength: 4 }) }),
      ),
    }))
    const textOf = (value: Tree): string => {
      if (typeof value === 'number') return String(value)
      if (Array.isArray(value)) return `[${value.map(textOf).join(' ,')}]`
      return `{${value.entries.map(([name, inner]) => `"${name}" : ${textOf(inner)}`).join(',')}}`
    }
    const isTwice = (value: Tree): boolean => {
      if (typeof value === 'number') return false
      if (Array.isArray(value)) return value.some(isTwice)
      const names = value.entries.map(([name]) => JSON.parse(`"${name}"`))
      return new Set(names).size < names.length || value.entries.some(([, inner]) => isTwice(inner))
    }
    fc.assert(
      fc.property(tree, (value) => {
        const text = textOf(value)
        if (isTwice(value)) expect(() => parse(text)).toThrow(/stands twice/)
        else expect(parse(text)).toEqual(JSON.parse(text))
      }),
    )
  })

  it('sees a key that stands twice whatever objects were read before', () => {
    // After the first, V8 13.6 makes a and a backslash of the second.
    const before = String.raw`{"b":1,"\\":[[1,2,{"":3,"b":4,"\"":[5],"\\":6}]],"{":7,"a":{"a":8,"\\":9}}`
    for (let i = 0; i < 100; i++) {
      expect(parse(before)).toBeDefined()
      expect(() => parse(String.raw`{"\u0061":1,"\u0061":2}`)).toThrow(/stands twice/)
    }
  })

  it('reads so many keys with a backslash and no more', () => {
    const keysOf = (count: number): string =>
      `{${Array.from({ length: count }, (_, i) => `"\\n${i}":0`).join()}}`
    expect(Object.keys(parse(keysOf(4096)) as object)).toHaveLength(4096)
    expect(() => parse(keysOf(4097))).toThrow(refused)
  })

  it.each([
    ['lists', '[]'],
    ['objects', '{}'],
    ['keys', '{"a":0}'],
    ['numbers', '0'],
    ['strings', '""'],
  ])('has no parser build a document of too many %s', (_, value) => {
    const building = vi.spyOn(JSON, 'parse')
    expect(() => parse(`[${`${value},`.repeat(100_000)}0]`)).toThrow(/more than 65536 values/)
    expect(building).not.toHaveBeenCalled()
    building.mockRestore()
  })

  it('reads as many values as sixteen for each descriptor of the largest manifest', () => {
    const values = Array.from({ length: 65_536 }, () => 0)
    expect(parse(JSON.stringify(values))).toEqual(values)
    expect(() => parse(JSON.stringify([...values, 0]))).toThrow(refused)
  })

  it('keeps __proto__ a key like any other', () => {
    const value = parse('{"__proto__":{"polluted":true}}')
    expect(Object.keys(value as object)).toEqual(['__proto__'])
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})
