/** How often a node looks who lacks its newest secret: while somebody may, and else hardly ever. */
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Background, noMetrics, silentLogger } from '../../../src/base/base.ts'
import type { SecretNames } from '../../../src/swarm/cluster/cluster.ts'
import { type Handover, openHandover } from '../../../src/swarm/members/handover.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'

const nameOf = (protocol: string): SecretNames => ({ protocol, prologue: new Uint8Array(0) })

let clock: SteppedClock
let tasks: Background
let secrets: SecretNames[]
let invitations: SecretNames[]
let looks: number
let used: string[][]
let parted: string[]
let rotate: () => void
let handover: Handover

beforeEach(async () => {
  clock = new SteppedClock()
  tasks = new Background('the test', silentLogger)
  secrets = [nameOf('new')]
  invitations = []
  looks = 0
  used = []
  parted = []
  rotate = () => undefined
  handover = await openHandover({
    host: { handle: async () => undefined, open: async () => Promise.reject(new Error('is not opened')) },
    secrets: {
      isNewcomer: () => false,
      names: () => secrets,
      rotation: () => undefined,
      learn: async () => false,
      rivals: () => new Set(),
      prune: async () => {
        looks++
      },
      onRotation(listener) {
        rotate = listener
        return () => undefined
      },
    },
    tasks,
    clock,
    random: () => 0.5,
    logger: silentLogger,
    metrics: noMetrics,
    isUnwelcome: () => false,
    connected: () => new Map([['12D3KooWmember', new Set(parted.length === 0 ? ['old'] : ['new'])]]),
    disconnect: (peer) => parted.push(peer),
    invitations: () => invitations,
    use: (names) => used.push(names.map(({ protocol }) => protocol)),
  })
})
afterEach(async () => {
  await tasks[Symbol.asyncDispose]()
})

async function pass(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    clock.advance(1_000)
    for (let turns = 0; turns < 5; turns++) await turn()
  }
}

test('once a second while somebody has another secret or one of before still counts, and else twice a minute', async () => {
  secrets = [nameOf('new'), nameOf('old')]
  rotate()
  await pass(60)
  expect(looks).toBeGreaterThan(50)
  expect(parted).toEqual([])
  // The grace is over.
  secrets = [nameOf('new')]
  await pass(2)
  expect(parted).toHaveLength(1)
  looks = 0
  await pass(600)
  expect(looks).toBeLessThanOrEqual(20)
  expect(looks).toBeGreaterThan(10)
})

test('not to take an invitation, which counts as soon as it is there', () => {
  invitations = [nameOf('invited')]
  handover.refresh()
  expect(used.at(-1)).toEqual(['new', 'invited'])
})
