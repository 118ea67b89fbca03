import { expect, test } from 'vitest'
import { StatusTurns } from '../../../src/swarm/members/status-turns.ts'

function turnsOf(count: number): { turns: StatusTurns; take(): string[] } {
  const turns = new StatusTurns()
  for (let index = 0; index < count; index++) turns.joined(`member-${index}`)
  const take = (): string[] => {
    const peers = turns.next()
    for (const peer of peers) turns.asked(peer, { hasAnswered: true })
    return peers
  }
  return { turns, take }
}

test.each([2, 7, 200])('%i members are all asked in turn, three at a time', (count) => {
  const { take } = turnsOf(count)
  const asked = Array.from({ length: Math.ceil(count / 3) }, take)
  expect(new Set(asked.flat()).size).toBe(count)
  expect(Math.max(...asked.map(({ length }) => length))).toBe(Math.min(3, count))
})

test('who did not answer is asked in the next turn, and takes nobody else’s', () => {
  const { turns } = turnsOf(7)
  turns.asked('member-6', { hasAnswered: false })
  expect(turns.next()).toEqual(['member-6', 'member-0', 'member-1', 'member-2'])
  turns.asked('member-6', { hasAnswered: true })
  expect(turns.next()).toEqual(['member-0', 'member-1', 'member-2'])
})

test('members that never answer make a turn no longer than six', () => {
  const { turns } = turnsOf(60)
  for (let index = 0; index < 40; index++) turns.asked(`member-${index}`, { hasAnswered: false })
  const before = turns.next()
  expect(before).toHaveLength(6)
  for (const peer of before) turns.asked(peer, { hasAnswered: false })
  expect(turns.next().filter((peer) => before.includes(peer))).toEqual([])
})

test('who has left is asked no more', () => {
  const { turns } = turnsOf(2)
  turns.asked('member-0', { hasAnswered: false })
  turns.left('member-0')
  turns.asked('member-0', { hasAnswered: false })
  expect(turns.next()).toEqual(['member-1'])
})
