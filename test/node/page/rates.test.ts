import { describe, expect, it } from 'vitest'
import { Rates } from '../../../node/page/server/rates.ts'

describe('rates', () => {
  it('come to what a counter grows by, and to nothing when it stands', () => {
    const rates = new Rates(10)
    let rate = 0
    for (let second = 0; second <= 20; second++) rate = rates.read('a', second * 1000, second * 1000)
    expect(rate).toBeGreaterThan(990)
    expect(rate).toBeLessThanOrEqual(1000)
    for (let second = 21; second <= 60; second++) rate = rates.read('a', 20_000, second * 1000)
    expect(rate).toBe(0)
  })

  it('are the same for two readings at one time, and begin anew with the counter', () => {
    const rates = new Rates(10)
    rates.read('a', 0, 0)
    const rate = rates.read('a', 5000, 1000)
    expect(rates.read('a', 9000, 1000)).toBe(rate)
    expect(rates.read('a', 0, 2000)).toBe(0)
  })

  it('forget the counters that were read the longest ago', () => {
    const rates = new Rates(2)
    for (const key of ['a', 'b', 'c']) rates.read(key, 0, 0)
    expect(rates.read('a', 1000, 1000)).toBe(0)
    expect(rates.read('c', 1000, 1000)).toBeGreaterThan(0)
  })
})
