import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { maxNeighbours, type Neighbour, Neighbourhood } from '../../../src/exchange/picker/neighbourhood.ts'

const neighbourhood = (): Neighbourhood => new Neighbourhood({ random: () => 0.5 })

function some(count: number, of: (index: number) => Partial<Neighbour> = () => ({})): Neighbour[] {
  return Array.from({ length: count }, (_, index) => ({
    peer: `peer-${index}`,
    isComplete: false,
    receivedBytes: 0,
    ...of(index),
  }))
}

describe('a neighbourhood', () => {
  it('tries strangers while it has places', () => {
    const review = neighbourhood().review(some(7), { strangers: 20, turnBytes: 100 })
    expect(review).toEqual({ leave: [], tries: maxNeighbours - 7 })
    expect(neighbourhood().review(some(7), { strangers: 1, turnBytes: 100 }).tries).toBe(1)
  })

  it('exchanges whoever gave least for a stranger, once a turn is over', () => {
    const places = neighbourhood()
    const of = (index: number): Partial<Neighbour> => ({ receivedBytes: index === 3 ? 1 : 10 })
    expect(places.review(some(maxNeighbours, of), { strangers: 5, turnBytes: 1000 }).leave).toEqual([])
    expect(places.review(some(maxNeighbours, of), { strangers: 0, turnBytes: 50 }).leave).toEqual([])
    const review = places.review(some(maxNeighbours, of), { strangers: 5, turnBytes: 50 })
    expect(review).toEqual({ leave: ['peer-3'], tries: 1 })
    expect(places.review(some(maxNeighbours, of), { strangers: 5, turnBytes: 50 }).leave).toEqual([])
  })

  it('exchanges one although nothing comes, when that is so for a while, and never the last that has all of it', () => {
    const of = (index: number): Partial<Neighbour> => ({ isComplete: index === 0 })
    const starved = { strangers: 5, turnBytes: 50, isStarved: true }
    const review = neighbourhood().review(some(maxNeighbours, of), starved)
    expect(review).toEqual({ leave: ['peer-1'], tries: 1 })
    expect(neighbourhood().review(some(maxNeighbours, of), { ...starved, isStarved: false }).leave).toEqual(
      [],
    )
  })

  it('counts what came in this turn alone, and spares who came in it', () => {
    const places = neighbourhood()
    const first = some(maxNeighbours, (index) => ({ receivedBytes: index === 0 ? 1 : 1000 * index }))
    expect(places.review(first, { strangers: 5, turnBytes: 50 }).leave).toEqual(['peer-0'])
    const next = first.slice(1).map((each) => ({ ...each, receivedBytes: each.receivedBytes + 100 }))
    const lazy = next.map((each) => (each.peer === 'peer-9' ? { ...each, receivedBytes: 9001 } : each))
    const withNew = [...lazy, { peer: 'new', isComplete: false, receivedBytes: 0 }]
    expect(places.review(withNew, { strangers: 5, turnBytes: 50 }).leave).toEqual(['peer-9'])
  })

  it('has no more of those with all of it than half, where there are others', () => {
    const found = some(maxNeighbours + 1, (index) => ({ isComplete: index < 8, receivedBytes: 100 - index }))
    expect(neighbourhood().review(found, { strangers: 0, turnBytes: 50 }).leave).toEqual(['peer-7'])
  })

  it('never leaves the last that has all of it, keeps to its places, and tries no more than there are', () => {
    const neighbours = fc.uniqueArray(
      fc.record({
        peer: fc.string(),
        isComplete: fc.boolean(),
        receivedBytes: fc.nat(),
      }),
      { maxLength: 40, selector: ({ peer }) => peer },
    )
    fc.assert(
      fc.property(
        fc.array(fc.tuple(neighbours, fc.nat({ max: 30 }), fc.nat())),
        fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
        (rounds, chance) => {
          const places = new Neighbourhood({ random: () => chance.next().value ?? 0 })
          for (const [all, strangers, turnBytes] of rounds) {
            const { leave, tries } = places.review(all, { strangers, turnBytes })
            const stay = all.filter(({ peer }) => !leave.includes(peer))
            expect(new Set(leave).size).toBe(leave.length)
            expect(stay.length).toBe(all.length - leave.length)
            expect(stay.length).toBeLessThanOrEqual(maxNeighbours)
            expect(stay.length + tries).toBeLessThanOrEqual(Math.max(maxNeighbours, stay.length))
            expect(tries).toBeLessThanOrEqual(strangers)
            if (all.some(({ isComplete }) => isComplete)) {
              expect(stay.some(({ isComplete }) => isComplete)).toBe(true)
            }
          }
        },
      ),
    )
  })
})
