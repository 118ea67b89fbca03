import { describe, expect, it } from 'vitest'
import { digestBytes, parseRepository } from '../../src/oci/oci.ts'
import { Backlog, type Debt } from '../../src/placement/backlog.ts'
import { Roster } from '../../src/placement/roster.ts'

const minute = 60_000
const middle = (): number => 0.5

function table() {
  const rows = new Map<string, Debt>()
  return {
    values: () => ({ all: async () => [...rows.values()] }),
    put: async (key: string, debt: Debt) => void rows.set(key, debt),
    del: async (key: string) => void rows.delete(key),
  }
}

function debt(name: string, change: Partial<Debt> = {}): Omit<Debt, 'tries'> {
  const digest = digestBytes(Buffer.from(name))
  const image = { repository: parseRepository('apps/web'), digest }
  return { ...image, kind: 'bring', sinceMs: 0, held: 0, wanted: 2, isFresh: false, ...change }
}

describe('the backlog', () => {
  it('stands on the disk until it is done', async () => {
    const rows = table()
    const before = await Backlog.open(rows, middle)
    await before.add(debt('one'), 0)
    await before.add(debt('two'), 0)
    await before.settle(debt('one'))
    const after = await Backlog.open(rows, middle)
    expect(after.list()).toMatchObject([debt('two')])
    expect(after.next(0)).toMatchObject(debt('two'))
  })

  it('takes what was just pushed before the rest', async () => {
    const backlog = await Backlog.open(table(), middle)
    await backlog.add(debt('one'), 0)
    await backlog.add(debt('two', { isFresh: true }), 0)
    expect(backlog.next(0)).toMatchObject(debt('two', { isFresh: true }))
  })

  it('has what was tried in vain stand behind the rest, though it was just pushed', async () => {
    const backlog = await Backlog.open(table(), middle)
    const dripping = debt('dripping', { isFresh: true })
    await backlog.add(dripping, 0)
    await backlog.add(debt('one'), 0)
    for (let tries = 0; tries < 4; tries++) {
      expect(backlog.next(0)).toMatchObject(dripping)
      await backlog.postpone(dripping, 0, 0)
      backlog.hasten(dripping, 0)
    }
    expect(backlog.next(0)).toMatchObject(debt('one'))
    await backlog.settle(debt('one'))
    expect(backlog.next(0)).toMatchObject(dripping)
  })

  it('goes on soon with what comes slowly, and knows who waits for its turn', async () => {
    const backlog = await Backlog.open(table(), middle)
    await backlog.add(debt('slow'), 0)
    expect(backlog.isAwaited(debt('slow'), 0)).toBe(false)
    for (let tries = 0; tries < 10; tries++) {
      await backlog.postpone(debt('slow'), 0, 0, { isSlow: true })
      expect(backlog.dueMs).toBe(2_000)
    }
    await backlog.add(debt('one'), 2_000)
    expect(backlog.next(2_000)).toMatchObject(debt('one'))
    expect(backlog.isAwaited(debt('one'), 2_000)).toBe(true)
  })

  it('tries again after pauses that grow, and at once when somebody comes', async () => {
    const backlog = await Backlog.open(table(), middle)
    await backlog.add(debt('one'), 0)
    const pauses: number[] = []
    for (let nowMs = 0; pauses.length < 12; nowMs = backlog.dueMs) {
      await backlog.postpone(debt('one'), 1, nowMs)
      expect(backlog.next(nowMs)).toBeUndefined()
      pauses.push(backlog.dueMs - nowMs)
    }
    expect(pauses.slice(0, 3)).toEqual([2_000, 4_000, 8_000])
    expect(pauses.at(-1)).toBe(10 * minute)
    backlog.hurry(0)
    expect(backlog.dueMs).toBeLessThanOrEqual(1_000)
    expect(backlog.list()).toMatchObject([{ held: 1, tries: 12 }])
  })

  it('knows that there is more than it has room for', async () => {
    const backlog = await Backlog.open(table(), middle)
    for (let at = 0; at < 20_001; at++) await backlog.add(debt(`image ${at}`), 0)
    expect(backlog).toMatchObject({ size: 20_000, isCut: true })
    for (const one of backlog.list()) await backlog.settle(one)
    expect(backlog.isCut).toBe(false)
  })
})

describe('the roster', () => {
  const offers = Array.from({ length: 7 }, (_, at) => ({ peer: `peer-${at}`, room: 10 }))
  const self = { peer: 'self', room: 10 }

  it('has a member in for ten minutes after it was seen last', () => {
    const roster = new Roster(self, [], 0)
    expect(roster.see(offers, 0)).toBe(true)
    const others = offers.slice(1)
    expect(roster.see(others, minute)).toBe(false)
    expect(roster.see(others, 10 * minute)).toBe(false)
    expect(roster.isIn('peer-0')).toBe(true)
    expect(roster.isPresent('peer-0')).toBe(false)
    expect(roster.see(others, 11 * minute)).toBe(true)
    expect(roster.isIn('peer-0')).toBe(false)
    expect(roster.see(offers, 12 * minute)).toBe(true)
    expect(roster.members).toHaveLength(8)
  })

  it('keeps everybody while more than a third are away, and gives them their time anew after that', () => {
    const roster = new Roster(self, [], 0)
    roster.see(offers, 0)
    roster.see(offers.slice(3), minute)
    expect(roster.isFrozen).toBe(true)
    expect(roster.see(offers.slice(3), 60 * minute)).toBe(false)
    expect(roster.see(offers.slice(2), 61 * minute)).toBe(false)
    expect(roster.isFrozen).toBe(false)
    expect(roster.see(offers.slice(2), 69 * minute)).toBe(false)
    expect(roster.see(offers.slice(2), 71 * minute)).toBe(true)
  })

  it('counts nobody as missing who is out already', () => {
    const roster = new Roster(self, [], 0)
    roster.see(offers, 0)
    for (let here = 6; here >= 4; here--) {
      for (let at = 1; at <= 11; at++) roster.see(offers.slice(-here), (7 - here) * 60 * minute + at * minute)
      expect(roster.members).toHaveLength(here + 1)
    }
  })

  it('knows after a restart who was in, and waits for them', () => {
    const before = new Roster(self, [], 0)
    before.see(offers, 0)
    const after = new Roster(self, before.rows(), 0)
    expect(after.see([], 0)).toBe(false)
    expect(after.members).toHaveLength(8)
  })

  it('does not wait for whom an operator has forgotten', () => {
    const roster = new Roster(self, [], 0)
    roster.see(offers, 0)
    expect(roster.see(offers.slice(1), minute, (peer) => peer === 'peer-0')).toBe(true)
    expect(roster.isIn('peer-0')).toBe(false)
  })
})
