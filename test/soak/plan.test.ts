import { describe, expect, it } from 'vitest'
import { digestOf, imageCount, makeImage } from './content.ts'
import { faultKinds, planRound, printedFault, type Round } from './plan.ts'

const options = { seed: 7, nodes: 5 }
const roundMs = 60_000

function rounds(count: number, seed = 7): Round[] {
  return Array.from({ length: count }, (_, index) => planRound(index, { ...options, seed }))
}

describe('a plan', () => {
  it('is the same for one seed, and another for another', () => {
    expect(rounds(5)).toEqual(rounds(5))
    expect(rounds(1, 8)).not.toEqual(rounds(1))
  })

  it('does not depend on the rounds before being planned', () => {
    expect(planRound(4, options)).toEqual(rounds(5)[4])
  })

  it('brings every kind of fault within five rounds, and never more than three in one', () => {
    for (const seed of [0, 1, 2, 99]) {
      const kinds = rounds(5, seed).map(({ faults }) => new Set(faults.map(({ kind }) => kind)))
      expect(new Set(kinds.flatMap((each) => [...each]))).toEqual(new Set(faultKinds))
      for (const each of kinds) expect(each.size).toBe(3)
    }
  })

  it('ends every fault before its round, and has one partition at a time', () => {
    for (const { faults } of rounds(40)) {
      for (const { atMs, forMs } of faults) {
        expect(forMs).toBeGreaterThan(0)
        expect(atMs + forMs).toBeLessThanOrEqual(roundMs)
      }
      const cuts = faults.filter(({ kind }) => kind === 'partition')
      for (const [index, cut] of cuts.entries()) {
        const before = cuts[index - 1]
        if (before !== undefined) expect(cut.atMs).toBeGreaterThan(before.atMs + before.forMs)
      }
    }
  })

  it('cuts the nodes into two groups that have all of them', () => {
    const cuts = rounds(40).flatMap(({ faults }) => faults.filter((fault) => fault.kind === 'partition'))
    expect(cuts.length).toBeGreaterThan(5)
    for (const { groups } of cuts) {
      expect(groups.every((group) => group.length > 0)).toBe(true)
      expect(groups.flat().toSorted()).toEqual([0, 1, 2, 3, 4])
    }
  })

  it('says in words what it brings', () => {
    const at = { atMs: 1_500, forMs: 2_000 }
    expect(printedFault({ ...at, kind: 'kill', node: 3 })).toBe('kill node 3 1.5-3.5')
    expect(printedFault({ ...at, kind: 'clock', node: 0, stepMs: -300 })).toBe('clock node 0 by -0.3 1.5-3.5')
    expect(printedFault({ ...at, kind: 'partition', groups: [[0, 2], [1]] })).toBe(
      'partition 0 2 | 1 1.5-3.5',
    )
  })

  it('has no faults where none are wanted', () => {
    const { faults, tasks } = planRound(0, { ...options, kinds: [] })
    expect(faults).toEqual([])
    expect(tasks.length).toBe(180)
  })

  it('has its tasks in their order and all kinds of them', () => {
    const tasks = rounds(10).flatMap((round) => {
      expect(round.tasks).toEqual(round.tasks.toSorted((a, b) => a.atMs - b.atMs))
      return round.tasks
    })
    expect(new Set(tasks.map(({ kind }) => kind)).size).toBe(11)
  })
})

describe('the images', () => {
  it('are the same each time, and each another', () => {
    const digests = Array.from({ length: 30 }, (_, number) => digestOf(makeImage(number).manifest.content))
    expect(new Set(digests).size).toBe(digests.length)
    expect(digestOf(makeImage(3).manifest.content)).toBe(digests[3])
  })

  it('hold with their blobs and children all that their manifests list', () => {
    for (const number of [0, 8, imageCount - 1]) {
      const { manifest, blobs, children } = makeImage(number)
      const here = [...blobs, ...children.map(({ content }) => content)].map(digestOf)
      for (const { blobs: listed, manifests } of [manifest, ...children])
        expect(here).toEqual(expect.arrayContaining([...listed, ...manifests]))
    }
  })
})
