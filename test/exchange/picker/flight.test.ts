import { describe, expect, it } from 'vitest'
import { Flight } from '../../../src/exchange/picker/flight.ts'

interface Way {
  /** One piece on the link. */
  pieceMs: number
  /** From the link's end until the sender hears of it. */
  restMs: number
}

/** Sends as much as may be on its way over a link that passes one piece after the other; returns how many that were at last. */
function sendFor(totalMs: number, { pieceMs, restMs }: Way, flight: Flight): { size: number; used: number } {
  const onTheirWay: { beganMs: number; endMs: number }[] = []
  let [freeMs, arrived, size] = [0, 0, 0]
  for (let nowMs = 0; nowMs < totalMs; nowMs++) {
    for (let first = onTheirWay[0]; first !== undefined && first.endMs <= nowMs; first = onTheirWay[0]) {
      onTheirWay.shift()
      arrived++
      flight.end(first.beganMs, nowMs)
    }
    size = flight.size(nowMs)
    while (onTheirWay.length < size) {
      flight.begin(nowMs)
      freeMs = Math.max(freeMs, nowMs) + pieceMs
      onTheirWay.push({ beganMs: nowMs, endMs: freeMs + restMs })
    }
  }
  return { size, used: (arrived * pieceMs) / totalMs }
}

describe('pieces on their way', () => {
  it.each([
    ['4 Mbit/s', { pieceMs: 131, restMs: 250 }, 4, 5],
    ['25 Mbit/s', { pieceMs: 84, restMs: 200 }, 4, 5],
    ['100 Mbit/s', { pieceMs: 21, restMs: 60 }, 12, 13],
    ['1 Gbit/s', { pieceMs: 2, restMs: 5 }, 40, 64],
    ['a long way', { pieceMs: 20, restMs: 400 }, 21, 30],
  ] as [string, Way, number, number][])('keep a link of %s busy, and are no more', (_, way, least, most) => {
    const { size, used } = sendFor(200_000, way, new Flight({ least: 4, most: 64 }))
    expect(used).toBeGreaterThan(0.9)
    expect(size).toBeGreaterThanOrEqual(least)
    expect(size).toBeLessThanOrEqual(most)
  })

  it('are the least while nothing is known of the way, and again after a pause', () => {
    const flight = new Flight({ least: 3, most: 64 })
    expect(flight.size(0)).toBe(3)
    sendFor(1000, { pieceMs: 2, restMs: 5 }, flight)
    expect(flight.size(1000)).toBeGreaterThan(30)
    for (let left = 64; left > 0; left--) flight.end(1000, 1000, { arrived: false })
    flight.begin(10_000)
    expect(flight.size(10_000)).toBe(3)
  })

  it('say nothing of the way when they were stopped', () => {
    const flight = new Flight({ least: 3, most: 64 })
    for (let nowMs = 0; nowMs < 100; nowMs++) {
      flight.begin(nowMs)
      flight.end(nowMs, nowMs, { arrived: false })
    }
    expect(flight.size(100)).toBe(3)
  })
})
