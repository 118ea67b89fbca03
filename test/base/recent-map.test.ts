import fc from 'fast-check'
import { expect, it } from 'vitest'
import { RecentMap } from '../../src/base/base.ts'

it('holds the entries that were set last, each with what it was set to, the oldest first', () => {
  const entry = fc.tuple(fc.nat(9), fc.nat())
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), fc.array(entry), (most, entries) => {
      const map = new RecentMap<number, number>(most)
      for (const [key, value] of entries) {
        expect(map.set(key, value)).toBe(map)
        expect(map.size).toBeLessThanOrEqual(most)
      }
      const isLast = ([key]: [number, number], at: number) =>
        !entries.slice(at + 1).some(([later]) => later === key)
      expect([...map]).toEqual(entries.filter(isLast).slice(-most))
    }),
  )
})

it('has room again for what was deleted', () => {
  const map = new RecentMap<string, number>(2).set('a', 1).set('b', 2)
  map.delete('a')
  map.set('c', 3)
  expect([...map.keys()]).toEqual(['b', 'c'])
})
