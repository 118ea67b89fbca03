import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  maxNeighbours,
  type Neighbour,
  Neighbourhood,
  type Strangers,
} from '../../../src/exchange/picker/neighbourhood.ts'

const near = (count: number): Strangers => ({ near: count, far: 0 })
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
    const review = neighbourhood().review(some(7), { strangers: near(20), turnBytes: 100 })
    expect(review).toEqual({ leave: [], tries: near(maxNeighbours - 7) })
    expect(neighbourhood().review(some(7), { strangers: near(1), turnBytes: 100 }).tries).toEqual(near(1))
  })

  it('exchanges whoever gave least for a stranger, once a turn is over', () => {
    const places = neighbourhood()
    const of = (index: number): Partial<Neighbour> => ({ receivedBytes: index === 3 ? 1 : 10 })
    expect(places.review(some(maxNeighbours, of), { strangers: near(5), turnBytes: 1000 }).leave).toEqual([])
    expect(places.review(some(maxNeighbours, of), { strangers: near(0), turnBytes: 50 }).leave).toEqual([])
    const review = places.review(some(maxNeighbours, of), { strangers: near(5), turnBytes: 50 })
    expect(review).toEqual({ leave: ['peer-3'], tries: near(1) })
    expect(places.review(some(maxNeighbours, of), { strangers: near(5), turnBytes: 50 }).leave).toEqual([])
  })

  it('exchanges one although nothing comes, when that is so for a while, and never the last that has all of it', () => {
    const of = (index: number): Partial<Neighbour> => ({ isComplete: index === 0 })
    const starved = { strangers: near(5), turnBytes: 50, isStarved: true }
    const review = neighbourhood().review(some(maxNeighbours, of), starved)
    expect(review).toEqual({ leave: ['peer-1'], tries: near(1) })
    expect(neighbourhood().review(some(maxNeighbours, of), { ...starved, isStarved: false }).leave).toEqual(
      [],
    )
  })

  it('counts what came in this turn alone, and spares who came in it', () => {
    const places = neighbourhood()
    const first = some(maxNeighbours, (index) => ({ receivedBytes: index === 0 ? 1 : 1000 * index }))
    expect(places.review(first, { strangers: near(5), turnBytes: 50 }).leave).toEqual(['peer-0'])
    const next = first.slice(1).map((each) => ({ ...each, receivedBytes: each.receivedBytes + 100 }))
    const lazy = next.map((each) => (each.peer === 'peer-9' ? { ...each, receivedBytes: 9001 } : each))
    const withNew = [...lazy, { peer: 'new', isComplete: false, receivedBytes: 0 }]
    expect(places.review(withNew, { strangers: near(5), turnBytes: 50 }).leave).toEqual(['peer-9'])
  })

  it('has no more of those with all of it than half, where there are others', () => {
    const found = some(maxNeighbours + 1, (index) => ({ isComplete: index < 8, receivedBytes: 100 - index }))
    expect(neighbourhood().review(found, { strangers: near(0), turnBytes: 50 }).leave).toEqual(['peer-7'])
  })

  it('keeps most places for near ones and some for far ones, as long as there are enough of both', () => {
    const all = some(maxNeighbours, () => ({ isFar: true }))
    const turn = { strangers: { near: 20, far: 5 }, turnBytes: 50 }
    const crowded = neighbourhood().review(all, turn)
    expect(crowded.leave).toHaveLength(7)
    expect(crowded.tries).toEqual({ near: 7, far: 0 })
    const many = neighbourhood().review(some(3), turn)
    expect(many.tries).toEqual({ near: 4, far: 3 })
    const lonely = neighbourhood().review(some(2), { strangers: { near: 0, far: 30 }, turnBytes: 50 })
    expect(lonely.tries).toEqual({ near: 0, far: 8 })
  })

  it('leaves near ones for near ones and far ones for far ones', () => {
    const of = (index: number): Partial<Neighbour> => ({
      isFar: index < 3,
      receivedBytes: index < 3 ? 0 : 100,
    })
    const turn = { strangers: { near: 5, far: 5 }, turnBytes: 50 }
    expect(neighbourhood().review(some(maxNeighbours, of), turn).tries).toEqual({ near: 1, far: 0 })
    const starved = neighbourhood().review(some(maxNeighbours, of), { ...turn, isStarved: true })
    expect(starved.tries).toEqual({ near: 1, far: 1 })
    expect(starved.leave).toHaveLength(2)
  })

  it('never leaves the last that has all of it, keeps to its places, and tries no more than there are', () => {
    const neighbours = fc.uniqueArray(
      fc.record({
        peer: fc.string(),
        isComplete: fc.boolean(),
        isFar: fc.boolean(),
        receivedBytes: fc.nat(),
      }),
      { maxLength: 40, selector: ({ peer }) => peer },
    )
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(neighbours, fc.record({ near: fc.nat({ max: 30 }), far: fc.nat({ max: 30 }) }), fc.nat()),
        ),
        fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
        (rounds, chance) => {
          const places = new Neighbourhood({ random: () => chance.next().value ?? 0 })
          for (const [all, strangers, turnBytes] of rounds) {
            const { leave, tries } = places.review(all, { strangers, turnBytes })
            const stay = all.filter(({ peer }) => !leave.includes(peer))
            expect(new Set(leave).size).toBe(leave.length)
            expect(stay.length).toBe(all.length - leave.length)
            expect(stay.length).toBeLessThanOrEqual(maxNeighbours)
            const tried = tries.near + tries.far
            expect(stay.length + tried).toBeLessThanOrEqual(Math.max(maxNeighbours, stay.length))
            expect(tries.near).toBeLessThanOrEqual(strangers.near)
            expect(tries.far).toBeLessThanOrEqual(strangers.far)
            if (all.some(({ isComplete }) => isComplete)) {
              expect(stay.some(({ isComplete }) => isComplete)).toBe(true)
            }
          }
        },
      ),
    )
  })
})
