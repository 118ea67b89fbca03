import { describe, expect, it } from 'vitest'
import { MembersTime } from '../../src/records/members-time.ts'
import { ManualClock } from './fixture.ts'

const minute = 60_000

interface Member {
  name: string
  aheadMs: number
  named?: boolean
  gone?: boolean
}

function heard(members: Member[]): { time: MembersTime; clock: ManualClock; steady: ManualClock } {
  const [clock, steady] = [new ManualClock(), new ManualClock()]
  const time = new MembersTime(clock, steady)
  time.trust({
    isConnected: (peer) => members.find(({ name }) => name === peer)?.gone !== true,
    isNamed: (peer) => members.find(({ name }) => name === peer)?.named === true,
  })
  for (const { name, aheadMs } of members) time.hear(name, aheadMs)
  return { time, clock, steady }
}

const right = { name: 'right', aheadMs: 1000 }
const off = { name: 'off', aheadMs: 10 * minute }
const another = { name: 'another', aheadMs: 11 * minute }
const before = { name: 'before', aheadMs: -10 * minute }
const named = { ...off, name: 'named', named: true }
const strangers = Array.from({ length: 300 }, (_, n) => ({ ...off, name: `stranger ${n}` }))

describe('the clock', () => {
  it.each<[string, Member[], boolean, boolean]>([
    ['is believed when nobody says anything', [], false, false],
    ['is right when a member agrees', [right], false, true],
    ['is believed against one that is not named', [off], false, false],
    ['is wrong against one that is named: this node has joined through it', [named], true, false],
    ['is wrong when two say so', [off, another], true, false],
    ['is believed when they do not agree with each other', [off, before], false, false],
    ['is believed when one of two agrees', [off, right], false, false],
    ['is right when two of three agree', [off, right, { ...right, name: 'again' }], false, true],
    ['is wrong when two say so and one is not named', [named, off], true, false],
    [
      'is right when who is named agrees, whatever comes before',
      [off, { ...right, named: true }],
      false,
      false,
    ],
    [
      'is not what any number of strangers say, where one member is known',
      [right, ...strangers],
      false,
      false,
    ],
    [
      'is not what strangers say that came first, where two are named',
      [...strangers, { ...right, named: true }, { ...right, name: 'again', named: true }],
      false,
      true,
    ],
    [
      'is not what those say that have left',
      [
        { ...off, gone: true },
        { ...another, gone: true },
      ],
      false,
      false,
    ],
  ])('%s', (_, members, isWrong, isConfirmed) => {
    const { time } = heard(members)
    expect(time.problem() !== undefined).toBe(isWrong)
    expect(time.isConfirmed()).toBe(isConfirmed)
  })

  it('is not what strangers say that came while the one member that is known was away', () => {
    const members: Member[] = [{ ...right, gone: true }, ...strangers]
    const { time } = heard(members)
    members[0] = right
    time.hear(right.name, right.aheadMs)
    expect(time.problem()).toBeUndefined()
  })

  it('is wrong from the moment that it is set wrong, and right again at once', () => {
    const { time, clock, steady } = heard([right, { ...right, name: 'again' }])
    for (const step of [60, -60]) {
      clock.ms += step * minute
      const direction = step > 0 ? 'ahead of' : 'behind'
      expect(time.problem()).toMatch(`this node's clock is ${step > 0 ? 3599 : 3601} s ${direction}`)
      expect(time.isConfirmed()).toBe(false)
      clock.ms -= step * minute
      expect(time.problem()).toBeUndefined()
    }
    // Time that passes is no step.
    clock.ms += 60 * minute
    steady.ms += 60 * minute
    expect(time.isConfirmed()).toBe(true)
  })
})
