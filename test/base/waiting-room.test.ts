import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LogLimit, WaitingRoom } from '../../src/base/base.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'

describe('a room for those who have proven nothing', () => {
  it('always takes who comes, holds no more than it may, and sends away of whoever has most', () => {
    const come = fc.record({ from: fc.integer({ min: 0, max: 5 }), leaves: fc.boolean() })
    fc.assert(
      fc.property(fc.array(come, { maxLength: 60 }), (steps) => {
        const room = new WaitingRoom({ most: 8, mostOfOne: 4 })
        let inside: { from: string; leave: () => void }[] = []
        for (const { from: number, leaves } of steps) {
          const from = String(number)
          const count = (name: string): number => inside.filter((one) => one.from === name).length
          const most = Math.max(0, ...inside.map((one) => count(one.from)))
          const mine = count(from)
          const me: { from: string; leave: () => void } = { from, leave: () => undefined }
          me.leave = room.enter(from, () => {
            const gone = inside.find((one) => one === me)
            expect(gone).toBeDefined()
            inside = inside.filter((one) => one !== me)
          })
          const before = inside.length
          inside.push(me)
          if (mine === 4) expect(count(from)).toBe(4)
          else if (before === 8) expect(most).toBeGreaterThanOrEqual(mine === 0 ? 1 : mine)
          if (leaves) {
            me.leave()
            me.leave()
            inside = inside.filter((one) => one !== me)
          }
          expect(room.size).toBe(inside.length)
          expect(room.size).toBeLessThanOrEqual(8)
        }
      }),
    )
  })

  it('sends the oldest of the largest party away', () => {
    const room = new WaitingRoom({ most: 3, mostOfOne: 3 })
    const gone: string[] = []
    for (const name of ['one', 'a1', 'a2', 'two']) room.enter(name.charAt(0), () => gone.push(name))
    expect(gone).toEqual(['a1'])
  })
})

describe('lines that strangers cause', () => {
  it('are written once for each subject, and seldom for all, with how many were left out', () => {
    const clock = new SteppedClock()
    const limit = new LogLimit({ clock, everyMs: 1000, most: 2 })
    const lines: [string, number][] = []
    const say = (subject: string): void => limit.line(subject, (unsaid) => lines.push([subject, unsaid]))
    for (const subject of ['a', 'a', 'b', 'c', 'd']) say(subject)
    clock.advance(1000)
    say('d')
    expect(lines).toEqual([
      ['a', 0],
      ['b', 1],
      ['d', 2],
    ])
  })
})
