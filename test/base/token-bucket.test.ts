import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TokenBucket } from '../../src/base/base.ts'

describe('a rate limit', () => {
  it('lets no more pass than its rate and one burst, over any time', () => {
    const move = fc.record({ bytes: fc.nat({ max: 5000 }), idleMs: fc.nat({ max: 3000 }) })
    fc.assert(
      fc.property(fc.array(move, { minLength: 1, maxLength: 50 }), (moves) => {
        const bucket = new TokenBucket({ bytesPerSecond: 1000, burstBytes: 500, nowMs: 0 })
        let nowMs = 0
        let moved = 0
        for (const { bytes, idleMs } of moves) {
          nowMs += idleMs
          nowMs += bucket.take(bytes, nowMs)
          moved += bytes
          expect(moved).toBeLessThanOrEqual(500 + nowMs)
        }
      }),
    )
  })

  it('wastes nothing while it is asked for more than it has', () => {
    const bucket = new TokenBucket({ bytesPerSecond: 1000, burstBytes: 1, nowMs: 0 })
    let nowMs = 0
    for (let turn = 0; turn < 100; turn++) nowMs += bucket.take(100, nowMs)
    expect(nowMs).toBeGreaterThan(9900)
    expect(nowMs).toBeLessThan(10_100)
  })

  it('says when its debt is paid, and forgives what did not move', () => {
    const bucket = new TokenBucket({ bytesPerSecond: 1000, burstBytes: 100, nowMs: 0 })
    expect(bucket.waitMs(0)).toBe(0)
    expect(bucket.take(600, 0)).toBe(500)
    expect(bucket.waitMs(100)).toBe(400)
    bucket.refund(600)
    expect(bucket.waitMs(100)).toBe(0)
  })

  it('is not emptied or filled by a clock that was set back', () => {
    const bucket = new TokenBucket({ bytesPerSecond: 1000, burstBytes: 100, nowMs: 10_000 })
    bucket.take(200, 10_000)
    expect(bucket.waitMs(0)).toBe(100)
    expect(bucket.waitMs(101)).toBe(0)
  })
})
