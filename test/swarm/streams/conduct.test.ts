import { describe, expect, test } from 'vitest'
import { noMetrics, silentLogger } from '../../../src/base/base.ts'
import { type Conduct, createConduct } from '../../../src/swarm/streams/conduct.ts'

const minuteMs = 60_000

function start(): { conduct: Conduct; disconnected: string[]; pass(ms: number): void } {
  let nowMs = 1_000_000
  const clock = { now: () => nowMs, sleep: async () => undefined }
  const disconnected: string[] = []
  const conduct = createConduct({
    clock,
    logger: silentLogger,
    metrics: noMetrics,
    disconnect: (peer) => disconnected.push(peer),
  })
  return {
    conduct,
    disconnected,
    pass: (ms) => {
      nowMs += ms
    },
  }
}

describe('conduct', () => {
  test('a few misdeeds fade', () => {
    const { conduct, disconnected, pass } = start()
    for (let i = 0; i < 3; i++) conduct.penalise('p', 'wrong-bytes')
    expect(conduct.pointsOf('p')).toBe(75)
    pass(minuteMs)
    expect(conduct.pointsOf('p')).toBeCloseTo(37.5)
    conduct.penalise('p', 'wrong-bytes')
    expect(conduct.isRefused('p')).toBe(false)
    expect(disconnected).toEqual([])
    expect(conduct.pointsOf('another')).toBe(0)
  })

  test('twenty invalid messages at once have a peer disconnected once, and refused for ten minutes', () => {
    const { conduct, disconnected, pass } = start()
    for (let i = 0; i < 30; i++) conduct.penalise('p', 'invalid-message')
    expect(disconnected).toEqual(['p'])
    pass(10 * minuteMs - 1)
    expect(conduct.isRefused('p')).toBe(true)
    pass(1)
    expect(conduct.isRefused('p')).toBe(false)
  })

  test.each([
    ['wrong-bytes', 4],
    ['invalid-message', 20],
    ['protocol', 10],
  ] as const)(
    '%s has a peer refused after %i times at the latest, also when seconds pass meanwhile',
    (misdeed, times) => {
      const { conduct, pass } = start()
      for (let i = 0; i < times; i++) {
        pass(8000 / times)
        conduct.penalise('p', misdeed)
      }
      expect(conduct.isRefused('p')).toBe(true)
    },
  )

  test('an invalid message now and then is forgiven', () => {
    const { conduct, disconnected, pass } = start()
    for (let i = 0; i < 1000; i++) {
      conduct.penalise('p', 'invalid-message')
      pass(5000)
    }
    expect(disconnected).toEqual([])
  })

  test('what is remembered of peers is bounded', () => {
    const { conduct } = start()
    conduct.penalise('first', 'protocol')
    for (let i = 0; i < 5000; i++) conduct.penalise(`p${i}`, 'protocol')
    expect(conduct.pointsOf('first')).toBe(0)
  })
})
