/** How often the keeper of copies looks who is there. */
import { setImmediate as turn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { noMetrics, silentLogger } from '../../src/base/base.ts'
import { Backlog } from '../../src/placement/backlog.ts'
import { type CopiesOptions, openCopies } from '../../src/placement/copies.ts'
import type { Offer } from '../../src/placement/owners.ts'
import { Roster } from '../../src/placement/roster.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'

it('looks who is there when that changes, and else four times a minute', async () => {
  const clock = new SteppedClock()
  const table = {
    values: () => ({ all: async () => [] }),
    put: async () => undefined,
    del: async () => undefined,
  }
  const offers: Offer[] = [{ peer: 'other', room: 1 }]
  let looks = 0
  let looksThrough = 0
  let changed = (): void => undefined
  const roster = new Roster({ peer: 'self', room: 1 }, [], clock.now())
  await using copies = openCopies({
    self: 'self',
    names: {
      onChange: () => () => undefined,
      listRepositories: async () => {
        looksThrough++
        return []
      },
    },
    policy: () => ({}),
    roster,
    backlog: await Backlog.open(table, () => 0.5),
    present() {
      looks++
      return offers
    },
    onPresent(listener: () => void) {
      changed = listener
      return () => undefined
    },
    isGone: () => false,
    save: async () => undefined,
    breathe: () => undefined,
    random: () => 0.5,
    clock,
    logger: silentLogger,
    metrics: noMetrics,
  } as unknown as CopiesOptions)
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 250) {
      clock.advance(250)
      for (let turns = 0; turns < 5; turns++) await turn()
    }
  }
  await pass(5 * 60_000)
  expect(looks).toBeGreaterThan(15)
  expect(looks).toBeLessThanOrEqual(21)
  offers.push({ peer: 'another', room: 1 })
  // However often it is told.
  for (let times = 0; times < 10; times++) changed()
  looks = 0
  await pass(500)
  expect(looks).toBe(1)
  expect(roster.members).toHaveLength(3)
  // What is here may be for others now.
  await pass(10_000)
  looksThrough = 0
  offers[0] = { peer: 'other', room: 1, site: 'elsewhere' }
  changed()
  await pass(3_000)
  expect(looksThrough).toBe(1)
  copies.offer({ peer: 'self', room: 0 })
  await pass(3_000)
  expect(looksThrough).toBe(2)
  expect(copies.short()).toEqual([])
  // One that says another room all the time has nobody look everything through all the time, nor keep what could go.
  looksThrough = 0
  for (let room = 2; room < 62; room++) {
    offers[0] = { peer: 'other', room }
    changed()
    await pass(1_000)
  }
  expect(looksThrough).toBeLessThanOrEqual(6)
  expect(clock.now() - roster.changedMs).toBeGreaterThan(40_000)
  const taken = (room: number): void =>
    expect(roster.members).toContainEqual(expect.objectContaining({ peer: 'other', room }))
  // That it has none any more is believed, and what it says in the end an hour later.
  offers[0] = { peer: 'other', room: 0 }
  changed()
  await pass(500)
  taken(0)
  offers[0] = { peer: 'other', room: 7 }
  changed()
  await pass(500)
  taken(0)
  clock.advance(2 * 3600_000)
  await pass(1_000)
  taken(7)
})
