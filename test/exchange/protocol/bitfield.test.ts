import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'

describe('a bitfield', () => {
  it('puts the first piece into the highest bit', () => {
    const field = new Bitfield(10)
    field.add(0)
    field.add(9)
    expect(Buffer.from(field.toBytes()).toString('hex')).toBe('8040')
    expect(Buffer.from(Bitfield.full(10).toBytes()).toString('hex')).toBe('ffc0')
  })

  it('behaves like a set of numbers, also when it was sent', () => {
    const change = fc.record({ add: fc.boolean(), piece: fc.nat({ max: 69 }) })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70 }), fc.array(change), (count, changes) => {
        const field = new Bitfield(count)
        const model = new Set<number>()
        for (const { add, piece } of changes.filter((entry) => entry.piece < count)) {
          expect(add ? field.add(piece) : field.delete(piece)).toBe(model.has(piece) !== add)
          if (add) model.add(piece)
          else model.delete(piece)
        }
        for (const each of [field, Bitfield.parse(field.toBytes(), count)]) {
          expect(each.held).toBe(model.size)
          expect(each.complete).toBe(model.size === count)
          expect(Array.from({ length: count }, (_, piece) => each.has(piece))).toEqual(
            Array.from({ length: count }, (_, piece) => model.has(piece)),
          )
        }
      }),
    )
  })

  it.each([
    ['too short', 'ff', 9],
    ['too long', 'ffffff', 9],
    ['with a bit beyond the last piece', 'ffc0', 9],
    ['empty', '', 1],
    ['of no pieces but with a byte', '00', 0],
  ])('is refused %s', (_, hex, count) => {
    expect(() => Bitfield.parse(Buffer.from(hex, 'hex'), count)).toThrow(
      expect.objectContaining({ code: 'MALFORMED' }),
    )
  })

  it('takes no piece that there is not, and has none', () => {
    const field = Bitfield.full(9)
    expect(() => field.add(9)).toThrow(RangeError)
    expect(() => field.delete(-1)).toThrow(RangeError)
    expect(field.has(9)).toBe(false)
    expect(field.complete).toBe(true)
  })

  it('includes what it holds all of', () => {
    const [some, more] = [new Bitfield(12), new Bitfield(12)]
    for (const piece of [0, 9]) some.add(piece)
    for (const piece of [0, 4, 9]) more.add(piece)
    expect([more.includes(some), some.includes(more), some.includes(some)]).toEqual([true, false, true])
    expect(new Bitfield(12).includes(new Bitfield(12))).toBe(true)
  })
})
