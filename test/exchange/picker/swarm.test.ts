/** The real Download and Upload in simulated networks: the figures that real hosts are held to, with a margin. */
import { describe, expect, it } from 'vitest'
import { mebibyte, type Scenario } from '../../../scripts/simulate/scenario.ts'
import { simulate } from '../../../scripts/simulate/simulation.ts'

const eight: Scenario = {
  name: '8 hosts, 64 MiB, 50 Mbit/s',
  hosts: 8,
  sizes: [64 * mebibyte],
  links: [{ up: 50, down: 50, share: 1 }],
}
const sixteen: Scenario = {
  name: '16 hosts, 32 MiB, 25 Mbit/s',
  hosts: 16,
  sizes: [32 * mebibyte],
  links: [{ up: 25, down: 25, share: 1 }],
}
const layers: Scenario = {
  ...eight,
  name: '4 layers of 16 MiB, 3 at a time',
  sizes: [16, 16, 16, 16].map((size) => size * mebibyte),
  parallel: 3,
}

/** Messages that wait behind data for so long in each link: on a good network, and on a narrow link whose queue is full. */
const queues = [
  { messageQueueMs: 30, allowance: 0, wasted: 0.05 },
  { messageQueueMs: 100, allowance: 0.05, wasted: 0.04 },
]

// 4.5 % of every link are headers, which the bound does not count.
describe.each(queues)('a simulated swarm whose messages wait up to $messageQueueMs ms', (queue) => {
  const { messageQueueMs, allowance, wasted } = queue

  it.each([
    [eight, 1.2, 1.15],
    [layers, 1.25, 1.2],
    [sixteen, 1.35, 1.25],
    [
      { ...eight, name: 'a seeder that dies once the others have everything', killHolder: 'closed' },
      1.2,
      1.1,
    ],
    [{ ...eight, name: 'a seeder that falls silent then', killHolder: 'silent' }, 1.25, 1.1],
  ] as [Scenario, number, number][])(
    'of $name takes little more than one download, and one upload',
    (scenario, slowest, copies) => {
      for (const seed of [1, 2]) {
        const outcome = simulate({ ...scenario, messageQueueMs, seed })
        expect(outcome.finished).toBe(outcome.expected)
        expect(outcome.slowest).toBeLessThan(slowest)
        expect(outcome.holderCopies).toBeLessThan(copies + allowance)
        expect(outcome.wasted).toBeLessThan(wasted)
      }
    },
  )

  it('that one host feeds from outside takes little more than what comes takes it, and is sent once', () => {
    for (const mbps of [25, 50]) {
      const links = [{ up: mbps, down: mbps, share: 1 }]
      const brought = { ...eight, name: 'a mirrored blob', hosts: 5, links, isBrought: true }
      const outcome = simulate({ ...brought, messageQueueMs })
      expect(outcome.finished).toBe(5)
      expect(outcome.slowest).toBeLessThan(1.2 + allowance)
      expect(outcome.holderCopies).toBeLessThan(1.1)
      expect(outcome.wasted).toBeLessThan(0.02)
    }
  })

  it('serves a host that joins 10 s late as quickly as its link allows', () => {
    const { lateFactor, finished } = simulate({ ...eight, messageQueueMs, lateMs: 10_000 })
    expect(finished).toBe(9)
    expect(lateFactor).toBeLessThan(1.15)
  })
})

describe('a simulated swarm over narrow links, in the queues of which messages wait and are lost', () => {
  it.each([
    [8, 4, 1.25, 1.15],
    [24, 8, 1.45, 1.3],
    [47, 4, 1.6, 1.35],
  ])(
    'of %i hosts at %i Mbit/s takes little more than one download, and one upload',
    (hosts, mbps, slowest, copies) => {
      const links = [{ up: mbps, down: mbps, share: 1 }]
      const outcome = simulate({ name: 'narrow', hosts, sizes: [16 * mebibyte], links })
      expect(outcome.finished).toBe(hosts)
      expect(outcome.slowest).toBeLessThan(slowest)
      expect(outcome.holderCopies).toBeLessThan(copies)
      expect(outcome.wasted).toBeLessThan(0.08)
    },
    60_000,
  )
})

describe('a simulated swarm of many', () => {
  it('of 200 finishes while every tenth host leaves', () => {
    const outcome = simulate({
      ...eight,
      hosts: 200,
      sizes: [4 * mebibyte],
      neighbours: 16,
      coarse: true,
      churn: 0.1,
    })
    expect(outcome.expected).toBeLessThan(195)
    expect(outcome.finished).toBe(outcome.expected)
  })

  it('brings little more than one copy into each of four sites when sites are known', () => {
    const outcome = simulate({
      ...eight,
      hosts: 40,
      sizes: [8 * mebibyte],
      neighbours: 32,
      coarse: true,
      sites: { count: 4, narrowMbps: 50, aware: true },
    })
    expect(outcome.finished).toBe(40)
    expect(outcome.copiesPerSite?.most).toBeLessThan(1.4)
  })

  it('of two sites takes little more than one copy over the narrow link between them', () => {
    const outcome = simulate({
      ...eight,
      hosts: 7,
      sizes: [16 * mebibyte],
      sites: { count: 2, narrowMbps: 5, aware: true },
    })
    expect(outcome.finished).toBe(7)
    // Ten times what the hosts' own links would need.
    expect(outcome.slowest).toBeLessThan(12.5)
    expect(outcome.copiesPerSite?.most).toBeLessThan(1.1)
  })
})
