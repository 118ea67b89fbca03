/** Who is served when more want to be than can. */
import { describe, expect, it } from 'vitest'
import { ServingSlots, type Slot } from '../../src/swarm/serving-slots.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'

function open() {
  const clock = new SteppedClock()
  const slots = new ServingSlots({ total: 64, perPeer: 16, clock })
  const take = (peer: string): Slot => {
    const slot = slots.take(peer)
    if (slot === undefined) throw new Error(`none for ${peer}`)
    return slot
  }
  return { clock, slots, take }
}

describe('places for bodies that are sent to members', () => {
  it('are not kept by four readers that take nothing', () => {
    const { slots, take } = open()
    const slow = [0, 1, 2, 3].flatMap((peer) => Array.from({ length: 16 }, () => take(`slow-${peer}`)))
    const honest = Array.from({ length: 12 }, () => slots.take('honest'))
    expect(honest.every((slot) => slot !== undefined)).toBe(true)
    expect(slow.filter(({ signal }) => signal.aborted)).toHaveLength(12)
  })

  it('are not kept by readers under sixty-four names that hardly take any', () => {
    const { clock, slots, take } = open()
    const slow = Array.from({ length: 64 }, (_, n) => take(`slow-${n}`))
    expect(slots.take('honest')).toBeUndefined()
    clock.advance(5000)
    for (const slot of slow.slice(1)) slot.sent(64 * 1024)
    expect(slots.take('honest')).toBeDefined()
    expect(slow.map(({ signal }) => signal.aborted)).toEqual([true, ...Array(63).fill(false)])
    expect(slots.take('another')).toBeUndefined()
  })

  it('are sixteen for each, and free again when they are given back', () => {
    const { slots, take } = open()
    const mine = Array.from({ length: 16 }, () => take('one'))
    expect(slots.take('one')).toBeUndefined()
    mine[0]?.[Symbol.dispose]()
    expect(slots.take('one')).toBeDefined()
  })
})
