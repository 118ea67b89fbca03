import { encode, rfc8949EncodeOptions } from 'cborg'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  bytes,
  codec,
  dictionary,
  list,
  literal,
  nullable,
  optional,
  pair,
  struct,
  text,
  uint,
  variant,
} from '../../src/wire/wire.ts'

const thing = codec(
  struct({
    id: uint({ max: 1000 }),
    name: text({ max: 5 }),
    data: bytes({ length: 2 }),
    note: optional(text({ max: 8 })),
    at: pair(uint(), uint()),
    tags: list(text({ max: 3 }), { max: 2 }),
    extra: nullable(dictionary(text({ max: 20 }), text({ max: 20 }), { max: 2 })),
  }),
  { maxBytes: 200 },
)
const value = {
  id: 7,
  name: 'abc',
  data: new Uint8Array([1, 2]),
  at: [1, 2] as [number, number],
  tags: ['x'],
  extra: { b: '1', aa: '2' },
}
const golden =
  'a6626174820102626964076464617461420102646e616d65636162636474616773816178656578747261a2616261316261616132'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

describe('a value', () => {
  it('has these bytes and no others', () => {
    expect(Buffer.from(thing.encode(value)).toString('hex')).toBe(golden)
    expect(thing.decode(hex(golden))).toEqual(value)
  })

  it('is read as what was written', () => {
    const values = fc.record(
      {
        id: fc.nat(1000),
        name: fc.string({ maxLength: 5, unit: 'grapheme-ascii' }),
        data: fc.uint8Array({ minLength: 2, maxLength: 2 }),
        note: fc.string({ maxLength: 4, unit: 'grapheme' }).filter((text) => text.length <= 8),
        at: fc.tuple(fc.maxSafeNat(), fc.maxSafeNat()),
        tags: fc.array(fc.string({ maxLength: 3, unit: 'grapheme-ascii' }), { maxLength: 2 }),
        extra: fc.constantFrom(null, {}, { ['__proto__']: 'x' }, { ä: '\ufffd', constructor: '' }),
      },
      { requiredKeys: ['id', 'name', 'data', 'at', 'tags', 'extra'] },
    )
    fc.assert(
      fc.property(values, (given) => {
        expect(thing.decode(thing.encode(given))).toEqual(given)
      }),
    )
  })

  it('is refused or read back to the same bytes, whatever was done to them', () => {
    const original = hex(golden)
    const change = fc.tuple(fc.nat(original.length - 1), fc.integer({ min: 0, max: 255 }))
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const mutated = original.slice()
        for (const [at, byte] of changes) mutated[at] = byte
        const read = attempt(() => thing.decode(mutated))
        if (read !== undefined) expect(Buffer.compare(thing.encode(read), mutated)).toBe(0)
      }),
      { numRuns: 3000 },
    )
  })

  it('is refused when it is made of random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 250 }), (given) => {
        const read = attempt(() => thing.decode(given))
        if (read !== undefined) expect(Buffer.compare(thing.encode(read), given)).toBe(0)
      }),
      { numRuns: 2000 },
    )
  })
})

/** The value, or nothing when it was refused in the one way there is. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    expect(error).toMatchObject({ code: 'MALFORMED' })
    return undefined
  }
}

describe('what is refused', () => {
  const plain = (given: unknown): Uint8Array => encode(given, rfc8949EncodeOptions)
  const fields = {
    id: 7,
    name: 'abc',
    data: new Uint8Array([1, 2]),
    at: [1, 2],
    tags: ['x'],
    extra: null as unknown,
  }

  it.each<[string, Uint8Array]>([
    ['nothing', hex('')],
    ['a value after the value', hex(`${golden}00`)],
    ['a value cut short', hex(golden.slice(0, -2))],
    ['an unknown field', plain({ ...fields, more: 1 })],
    ['a missing field', plain({ ...fields, name: undefined })],
    ['null for what may be absent', plain({ ...fields, note: null })],
    ['another type', plain({ ...fields, name: 7 })],
    ['text that is too long', plain({ ...fields, name: 'abcdef' })],
    ['a number that is too large', plain({ ...fields, id: 1001 })],
    ['a negative number', plain({ ...fields, id: -1 })],
    ['a fraction', plain({ ...fields, id: 1.5 })],
    ['a whole number written as a float', hex(golden.replace('62696407', '626964f94700'))],
    ['a number that is not exact', hex(golden.replace('62696407', '6269641b0020000000000001'))],
    ['a number longer than it need be', hex(golden.replace('62696407', '6269641807'))],
    ['a length longer than it need be', hex(golden.replace('636162', '78036162'))],
    ['bytes of another length', plain({ ...fields, data: new Uint8Array(3) })],
    ['a list that is too long', plain({ ...fields, tags: ['a', 'b', 'c'] })],
    ['a pair of three', plain({ ...fields, at: [1, 2, 3] })],
    ['a map that is too large', plain({ ...fields, extra: { a: '', b: '', c: '' } })],
    ['a tagged value', hex(golden.replace('62696407', '626964c107'))],
    ['a list without a length', hex(golden.replace('816178', '9f6178ff'))],
    ['text that is not UTF-8', hex(golden.replace('63616263', '63ff6263'))],
    [
      'keys out of order',
      hex(golden.replace('626174820102626964 07'.replace(' ', ''), '62696407626174820102')),
    ],
    ['a key twice', hex(golden.replace('a6626174820102', 'a7626174820102626174820102'))],
    [
      'keys of an inner map out of order',
      hex(golden.replace('6162613162616161 32'.replace(' ', ''), '626161613261626131')),
    ],
    ['undefined', hex(golden.replace('62696407', '626964f7'))],
    ['lists within lists without end', new Uint8Array(190).fill(0x81)],
    ['more bytes than allowed', new Uint8Array(201)],
  ])('is %s', (_, given) => {
    expect(Buffer.from(given).toString('hex')).not.toBe(golden)
    expect(() => thing.decode(given)).toThrowError(expect.objectContaining({ code: 'MALFORMED' }))
  })

  it('is a nesting that would overflow the stack', () => {
    const deep = codec(uint(), { maxBytes: 2_000_000 })
    expect(() => deep.decode(new Uint8Array(2_000_000).fill(0x81))).toThrowError(
      expect.objectContaining({ code: 'MALFORMED' }),
    )
  })

  it('is an encoding beyond the limit', () => {
    const short = codec(text({ max: 100 }), { maxBytes: 10 })
    expect(() => short.encode('x'.repeat(10))).toThrowError(
      expect.objectContaining({ code: 'TOO_LARGE', bytes: 11 }),
    )
  })
})

it('tells variants apart by their field', () => {
  const either = codec(
    variant('type', {
      a: struct({ type: literal('a'), n: uint() }),
      b: struct({ type: literal('b'), s: text({ max: 9 }) }),
    }),
    { maxBytes: 100 },
  )
  expect(either.decode(either.encode({ type: 'b', s: 'x' }))).toEqual({ type: 'b', s: 'x' })
  for (const given of [{ type: 'c' }, { type: 'constructor' }, { type: 'a', s: 'x' }, [], 7]) {
    expect(() => either.decode(encode(given, rfc8949EncodeOptions))).toThrowError(
      expect.objectContaining({ code: 'MALFORMED' }),
    )
  }
})
