import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { type BodyKind, BodyWatch, type ComingBody } from '../../src/http/body-watch.ts'

const kib = 1024
const limits = { budgetBytes: 1024 * kib, stepBytes: 64 * kib }

let nowMs: number
let watch: BodyWatch
beforeEach(() => {
  nowMs = 0
  watch = new BodyWatch({ limits, nowMs: () => nowMs, everySecond: () => () => undefined })
})

interface Client {
  body: ComingBody
  isPaused: boolean
  failure: string | undefined
}

function begin(kind: BodyKind = 'held', length?: number): Client {
  const client = { isPaused: false, failure: undefined } as Client
  client.body = watch.open(kind, length, {
    pause: () => {
      client.isPaused = true
    },
    resume: () => {
      client.isPaused = false
    },
    fail: (error) => {
      client.failure = (error as { code?: string }).code
    },
  })
  client.body.wait(true)
  return client
}

/** Lets time pass, a second at a time; each client sends so much of it, unless it is paused. */
function pass(seconds: number, rates: [Client, bytesPerSecond: number][] = []): void {
  for (let second = 0; second < seconds; second++) {
    nowMs += 1000
    for (const [{ body, isPaused, failure }, bytes] of rates)
      if (bytes > 0 && !isPaused && failure === undefined) body.arrived(bytes)
    watch.tick()
  }
}

describe('the pace of a body', () => {
  it('ends one that stalls, and none that moves on a slow link', () => {
    const stalled = begin()
    const slow = begin()
    pass(29, [[slow, 64 * kib]])
    expect(stalled.failure).toBeUndefined()
    pass(120, [[slow, 64 * kib]])
    expect([stalled.failure, slow.failure]).toEqual(['REQUEST_TIMEOUT', undefined])
  })

  it('ends one that drips', () => {
    const dripping = begin()
    pass(60, [[dripping, 100]])
    expect(dripping.failure).toBe('REQUEST_TIMEOUT')
  })

  it('lets one that goes to the disk pause for minutes, and drip no longer than that', () => {
    const [pausing, dripping, stalled] = [begin('streamed'), begin('streamed'), begin('streamed')]
    for (let time = 0; time < 5; time++) {
      pausing.body.arrived(64 * kib)
      pass(300, [[dripping, 1]])
    }
    expect(pausing.failure).toBeUndefined()
    expect([dripping.failure, stalled.failure]).toEqual(['REQUEST_TIMEOUT', 'REQUEST_TIMEOUT'])
  })

  it('does not count the time in which nobody waits for the client', () => {
    const client = begin()
    client.body.wait(false)
    pass(3600)
    client.body.wait(true)
    pass(29)
    expect(client.failure).toBeUndefined()
  })

  it('is not looked at once the body is here', () => {
    const client = begin()
    client.body.close()
    pass(3600)
    expect([client.failure, watch.size]).toEqual([undefined, 0])
  })
})

describe('the memory of bodies', () => {
  it('is granted as bytes arrive, and nothing to those that are small or bring none', () => {
    begin()
    const [small, large] = [begin('held', 64 * kib), begin('held', 4096 * kib)]
    small.body.arrived(64 * kib)
    expect(watch.heldBytes).toBe(0)
    large.body.arrived(1)
    expect(watch.heldBytes).toBe(64 * kib)
    large.body.arrived(64 * kib)
    expect(watch.heldBytes).toBe(128 * kib)
    large.body[Symbol.dispose]()
    expect(watch.heldBytes).toBe(0)
  })

  it('counts until nobody needs the bytes, not only until they are here', () => {
    const { body } = begin('held', 500 * kib)
    for (let at = 0; at < 10; at++) body.arrived(50 * kib)
    body.close()
    expect(watch.heldBytes).toBe(448 * kib)
    body[Symbol.dispose]()
    body[Symbol.dispose]()
    expect(watch.heldBytes).toBe(0)
  })

  it('stops all but one when it is spent, and gives each its turn', () => {
    const clients = Array.from({ length: 5 }, () => begin())
    const paused = () => clients.map(({ isPaused }) => isPaused)
    for (const { body } of clients) for (let at = 0; at < 5; at++) body.arrived(64 * kib)
    // 5 steps each for three of them, the last of the 16 to the fourth, which goes beyond.
    expect(paused()).toEqual([false, false, false, false, true])
    clients[0]?.body.arrived(kib)
    expect(paused()).toEqual([true, false, false, false, true])
    clients[3]?.body[Symbol.dispose]()
    expect(paused()).toEqual([true, false, false, false, false])
    clients[4]?.body[Symbol.dispose]()
    expect(paused()).toEqual([false, false, false, false, false])
  })

  it.each([
    [200, 1],
    [3, 8],
  ])('is not kept by %d who stall after %d steps, once others wait', (count, steps) => {
    const stalled = Array.from({ length: count }, () => begin())
    for (let step = 0; step < steps; step++)
      for (const { body, isPaused } of stalled) if (!isPaused) body.arrived(64 * kib)
    const honest = begin()
    honest.body.arrived(64 * kib)
    expect(honest.isPaused).toBe(true)
    const end = () => {
      for (const { body, failure } of stalled) if (failure !== undefined) body[Symbol.dispose]()
    }
    for (let second = 0; second < 100; second++, end()) pass(1, [[honest, 64 * kib]])
    expect(stalled[0]?.failure).toBe('REQUEST_TIMEOUT')
    expect(honest).toMatchObject({ isPaused: false, failure: undefined })
  })

  it('is never more than the budget and one body, and everybody is served or told', () => {
    const client = fc.record({
      sizeKib: fc.integer({ min: 1, max: 1000 }),
      rateKib: fc.constantFrom(0, 1, 40, 200),
    })
    fc.assert(
      fc.property(fc.array(client, { maxLength: 20 }), (plans) => {
        nowMs = 0
        watch = new BodyWatch({ limits, nowMs: () => nowMs, everySecond: () => () => undefined })
        const left = new Map(plans.map((plan) => [begin('held', plan.sizeKib * kib), { ...plan }]))
        for (let second = 0; second < 3_000 && left.size > 0; second++) {
          nowMs += 1000
          for (const [one, plan] of left) {
            if (one.failure !== undefined) {
              one.body[Symbol.dispose]()
              left.delete(one)
            } else if (!one.isPaused && plan.rateKib > 0) {
              const sent = Math.min(plan.rateKib, plan.sizeKib)
              plan.sizeKib -= sent
              for (let at = 0; at < sent && !one.isPaused; at += 64)
                one.body.arrived(Math.min(64, sent - at) * kib)
              if (plan.sizeKib > 0) continue
              one.body[Symbol.dispose]()
              left.delete(one)
            }
          }
          expect(watch.heldBytes).toBeLessThanOrEqual(limits.budgetBytes + 1024 * kib)
          watch.tick()
        }
        expect([left.size, watch.heldBytes, watch.size]).toEqual([0, 0, 0])
      }),
      { numRuns: 60 },
    )
  })
})
