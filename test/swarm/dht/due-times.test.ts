/** A table of times, held against a Map. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type Digest, parseDigest } from '../../../src/oci/oci.ts'
import { DueTimes } from '../../../src/swarm/dht/due-times.ts'

/** Of many of them the first eight bytes are the same, so that they stand in each other's way. */
const digest = fc
  .tuple(fc.constantFrom('00000000', 'ffffffff', '0000000f'), fc.integer({ min: 0, max: 60 }), fc.boolean())
  .map(([start, number, isOther]) => {
    const hex = start + number.toString(16).padStart(isOther ? 120 : 56, '0')
    return parseDigest(`${isOther ? 'sha512' : 'sha256'}:${hex}`)
  })

it('says what a Map would say', () => {
  const step = fc.record({ what: fc.constantFrom('set', 'set', 'delete'), digest, seconds: fc.nat(10) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
      const [table, map] = [new DueTimes([1, 2]), new Map<Digest, number>()]
      for (const { what, digest, seconds } of steps) {
        expect(table.has(digest)).toBe(map.has(digest))
        if (what === 'delete') expect(table.delete(digest)).toBe(map.delete(digest))
        else {
          table.set(digest, seconds * 1000)
          map.set(digest, seconds)
        }
        expect(table.size).toBe(map.size)
      }
      const overdue = [...map].filter(([, seconds]) => seconds <= 5).map(([one]) => one)
      expect([...table.overdue(5999)].sort()).toEqual(overdue.sort())
    }),
  )
})

it('gives what is due while that is set and deleted', () => {
  const table = new DueTimes([1, 2])
  const all = Array.from({ length: 40 }, (_, number) =>
    parseDigest(`sha256:${number.toString(16).padStart(64, '0')}`),
  )
  for (const one of all) table.set(one, 0)
  const given: Digest[] = []
  for (const one of table.overdue(0)) {
    given.push(one)
    if (given.length % 2 === 0) table.delete(one)
    else table.set(one, 1000)
  }
  expect(given.sort()).toEqual(all)
  expect(table.size).toBe(20)
  expect([...table.overdue(0)]).toEqual([])
})

it('takes less than 50 bytes for each of many', () => {
  const table = new DueTimes([1, 2])
  const count = 50_000
  for (let number = 0; number < count; number++) {
    const spread = (number * 2_654_435_761) % 2 ** 32
    table.set(parseDigest(`sha256:${spread.toString(16).padStart(8, '0').padEnd(64, '0')}`), number)
  }
  expect(table.size).toBe(count)
  expect(table.bytes / count).toBeLessThan(50)
})
