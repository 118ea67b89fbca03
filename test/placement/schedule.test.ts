import { describe, expect, it } from 'vitest'
import { Schedule } from '../../src/placement/schedule.ts'

const middle = (): number => 0.5
const minute = 60_000

describe('the schedule', () => {
  it('sweeps at the start, and again after a quarter of an hour', () => {
    const schedule = new Schedule(middle)
    expect(schedule.isSweepDue(0)).toBe(true)
    schedule.sweepBegins()
    schedule.sweepEnded(1_000, 1_000)
    expect(schedule.isSweepDue(15 * minute)).toBe(false)
    expect(schedule.isSweepDue(15 * minute + 1_000)).toBe(true)
  })

  it('sweeps earlier where tags grow old', () => {
    const schedule = new Schedule(middle)
    schedule.sweepBegins()
    schedule.sweepEnded(0, 0, 5 * minute)
    expect(schedule.nextMs).toBe(5 * minute)
    schedule.sweepBegins()
    schedule.sweepEnded(0, 0, 500 * minute)
    expect(schedule.nextMs).toBe(15 * minute)
  })

  it('takes a fiftieth of the time for sweeps that are long', () => {
    const schedule = new Schedule(middle)
    schedule.sweepBegins()
    schedule.sweepEnded(10 * minute, 10 * minute)
    expect(schedule.nextMs).toBe(10 * minute + 500 * minute)
  })

  it('sweeps once more after a change that came during a sweep', () => {
    const schedule = new Schedule(middle)
    schedule.sweepBegins()
    schedule.sweepSoon()
    schedule.sweepEnded(1_000, 1_000)
    expect(schedule.isSweepDue(1_000)).toBe(true)
  })

  it('tries again with pauses that grow up to five minutes, and begins anew when a member joins', () => {
    const schedule = new Schedule(middle)
    schedule.sweepBegins()
    schedule.sweepEnded(0, 0)
    const pauses: number[] = []
    for (let i = 0; i < 9; i++) {
      schedule.planRetry(true, 0)
      pauses.push(schedule.nextMs)
      schedule.retryBegins()
    }
    expect(pauses).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 300].map((seconds) => seconds * 1_000))
    schedule.planRetry(true, 0)
    schedule.retrySoon(0)
    expect(schedule.isRetryDue(500)).toBe(true)
    schedule.retryBegins()
    schedule.planRetry(true, 0)
    expect(schedule.nextMs).toBe(2_000)
  })

  it('does not try again when nothing is missing', () => {
    const schedule = new Schedule(middle)
    schedule.planRetry(true, 0)
    schedule.planRetry(false, 0)
    expect(schedule.isRetryDue(Number.MAX_SAFE_INTEGER)).toBe(false)
  })

  it('does not put off a try that is planned already', () => {
    const schedule = new Schedule(middle)
    schedule.planRetry(true, 0)
    schedule.planRetry(true, 1_900)
    expect(schedule.isRetryDue(2_000)).toBe(true)
  })

  it('spreads the times of many nodes', () => {
    const times = [0, 0.25, 0.5, 0.75, 1].map((value) => {
      const schedule = new Schedule(() => value)
      schedule.sweepBegins()
      schedule.sweepEnded(0, 0)
      return Math.round((schedule.nextMs / minute) * 10) / 10
    })
    expect(times).toEqual([12, 13.5, 15, 16.5, 18])
  })
})
