import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { rankMembers } from '../../src/upstream/upstream.ts'

const members = fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 12 })

describe('the rank of members', () => {
  test('is the same wherever it is made, and names each member once', () => {
    expect(rankMembers('sha256:00', ['a', 'b', 'c', 'd'])).toMatchInlineSnapshot(`
      [
        "b",
        "c",
        "a",
        "d",
      ]
    `)
    fc.assert(
      fc.property(fc.string(), members, (key, list) => {
        const ranked = rankMembers(key, list)
        expect(rankMembers(key, [...list, ...list].reverse())).toEqual(ranked)
        expect([...ranked].sort()).toEqual([...list].sort())
      }),
    )
  })

  test('of the others does not change when one leaves', () => {
    fc.assert(
      fc.property(fc.string(), members, fc.nat(), (key, list, which) => {
        const gone = list[which % Math.max(1, list.length)]
        const rest = list.filter((member) => member !== gone)
        expect(rankMembers(key, rest)).toEqual(rankMembers(key, list).filter((member) => member !== gone))
      }),
    )
  })

  test('gives each member about as many keys as any other', () => {
    const list = ['a', 'b', 'c', 'd', 'e']
    const first = new Map(list.map((member) => [member, 0]))
    for (let key = 0; key < 5000; key++) {
      const [member = ''] = rankMembers(`key ${key}`, list)
      first.set(member, (first.get(member) ?? 0) + 1)
    }
    for (const count of first.values()) {
      expect(count).toBeGreaterThan(850)
      expect(count).toBeLessThan(1150)
    }
  })
})
