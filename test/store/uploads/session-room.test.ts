import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { SessionRoom } from '../../../src/store/uploads/session-room.ts'

const mib = 1024 * 1024
const max = 100
const late = { client: 'late', repository: 'late' }

let nowMs: number
let room: SessionRoom
beforeEach(() => {
  nowMs = 0
  room = new SessionRoom({ max, nowMs: () => nowMs })
})

/** Lets a session in, and out whoever gives way; false when nobody does. */
function arrive(id: string, client: string, repository: string, bytes = 0): boolean {
  const yielding = room.yielding({ client, repository })
  if (yielding === undefined) return false
  for (const gone of yielding) room.leave(gone)
  room.enter(id, { client, repository })
  room.progress(id, bytes)
  return true
}

describe('room for upload sessions', () => {
  it('is for all until it is full', () => {
    for (let at = 0; at < max; at++) arrive(`s${at}`, 'a', 'team/app')
    expect(Array.from({ length: max }, (_, at) => room.has(`s${at}`)).every(Boolean)).toBe(true)
  })

  it('is made by the session that has stood still longest', () => {
    for (let at = 0; at < max; at++, nowMs++) arrive(`s${at}`, 'a', 'team/app')
    expect(room.yielding(late)).toEqual(['s0'])
  })

  it('is made by whoever has many, not by another client', () => {
    arrive('honest', 'b', 'team/app')
    nowMs += 60_000
    for (let at = 0; at < 2_000; at++, nowMs++) arrive(`flood${at}`, 'a', `flood/${at}`)
    expect(room.has('honest')).toBe(true)
  })

  it('is made in a crowded repository where all come from one address', () => {
    arrive('honest', '127.0.0.1', 'team/app')
    nowMs += 60_000
    for (let at = 0; at < 2_000; at++, nowMs++) arrive(`flood${at}`, '127.0.0.1', 'flood')
    expect(room.has('honest')).toBe(true)
  })

  it('is kept by what arrived: an upload that rests outlives those that hold a byte', () => {
    arrive('resting', '127.0.0.1', 'team/app', 5_000 * mib)
    nowMs += 3_600_000
    for (let at = 0; at < 2_000; at++, nowMs++) arrive(`flood${at}`, '127.0.0.1', `flood/${at}`, 1)
    expect(room.has('resting')).toBe(true)
  })

  it('is not kept by a byte now and then', () => {
    for (let at = 0; at < max; at++) arrive(`drip${at}`, '127.0.0.1', `drip/${at}`)
    for (let bytes = 1; bytes < 100; bytes++) {
      nowMs += 1000
      for (let at = 0; at < max; at++) room.progress(`drip${at}`, bytes)
    }
    for (const id of ['config', 'layer']) {
      expect(arrive(id, '127.0.0.1', 'team/app', 500)).toBe(true)
      nowMs += 1
    }
    for (let at = 0; at < max - 2; at++) {
      expect(arrive(`more${at}`, '127.0.0.1', `more/${at}`, 500)).toBe(true)
      expect([room.has('config'), room.has('layer')]).toEqual([true, true])
    }
  })

  it('is refused where all are at work, and made again once one of them rests', () => {
    const work = (but: number) => {
      for (let at = 0; at < max; at++) if (at !== but) room.progress(`s${at}`, nowMs * 100 + 2 * mib)
    }
    for (let at = 0; at < max; at++) arrive(`s${at}`, `client-${at}`, `team/${at}`, 2 * mib)
    nowMs += 10_000
    work(-1)
    expect(arrive('late', 'late', 'team/late')).toBe(false)
    for (let time = 0; time < 4; time++, nowMs += 10_000) work(7)
    expect(room.yielding(late)).toEqual(['s7'])
  })

  it('is made also by sessions at work, of a client that holds much of it', () => {
    for (let at = 0; at < max - 1; at++) arrive(`s${at}`, 'a', `team/${at}`, 2 * mib)
    arrive('other', 'b', 'other', 2 * mib)
    expect(room.yielding(late)?.[0]).toMatch(/^s/)
    expect(room.yielding({ client: 'a', repository: 'new' })?.[0]).toMatch(/^s/)
  })

  it('is made by nobody at work where all are of one client, unless another comes', () => {
    for (let at = 0; at < max; at++) arrive(`s${at}`, 'a', `team/${at}`, 2 * mib)
    expect(room.yielding({ client: 'a', repository: 'new' })).toBeUndefined()
    expect(room.yielding(late)).toHaveLength(1)
  })

  it('is never more than there is, and never made by who needs it least to', () => {
    const step = fc.record({
      client: fc.constantFrom('a', 'b', 'c'),
      repository: fc.constantFrom('x', 'y'),
      bytes: fc.constantFrom(0, 1, 70_000, 3 * mib),
      waitMs: fc.nat(5_000),
    })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
        const small = new SessionRoom({ max: 8, nowMs: () => nowMs })
        const here = new Set<string>()
        for (const [at, { client, repository, bytes, waitMs }] of steps.entries()) {
          nowMs += waitMs
          const yielding = small.yielding({ client, repository })
          for (const id of yielding ?? []) expect(here.delete(id)).toBe(true)
          for (const id of yielding ?? []) small.leave(id)
          if (yielding === undefined) continue
          small.enter(`s${at}`, { client, repository })
          small.progress(`s${at}`, bytes)
          here.add(`s${at}`)
          expect(here.size).toBeLessThanOrEqual(8)
        }
      }),
    )
  })
})
