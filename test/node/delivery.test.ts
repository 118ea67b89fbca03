import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Delivery, type DeliveryLimits, type DeliveryResult } from '../../node/delivery.ts'
import { openReceiver, type Receiver } from './receiver.ts'

/** Sleeps until it is woken, and remembers for how long it would have. */
function handClock() {
  const slept: number[] = []
  let nowMs = 0
  let sleeping = Promise.withResolvers<void>()
  let asleep = Promise.withResolvers<void>()
  return {
    slept,
    clock: {
      now: () => nowMs,
      sleep(ms: number, { signal }: { signal?: AbortSignal } = {}) {
        slept.push(ms)
        asleep.resolve()
        return new Promise<void>((resolve, reject) => {
          if (signal?.aborted) reject(signal.reason)
          void sleeping.promise.then(resolve)
          signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
        })
      },
    },
    asleep: () => asleep.promise,
    /** Once it sleeps, lets the time pass. */
    async wake(): Promise<void> {
      await asleep.promise
      asleep = Promise.withResolvers()
      nowMs += slept.at(-1) ?? 0
      const { resolve } = sleeping
      sleeping = Promise.withResolvers()
      resolve()
    },
  }
}

describe('a delivery', () => {
  let receiver: Receiver
  beforeEach(async () => {
    receiver = await openReceiver()
  })
  afterEach(async () => {
    await receiver[Symbol.asyncDispose]()
  })

  function open(limits: Partial<DeliveryLimits> = {}, headers: Record<string, string> = {}) {
    const hand = handClock()
    const results = { delivered: 0, full: 0, expired: 0, stopped: 0 }
    const lines: { fields: object; message: string }[] = []
    const again = Promise.withResolvers<void>()
    const line = (fields: object, message: string): void => {
      lines.push({ fields, message })
      if (message === 'events are taken again') again.resolve()
    }
    const logger = { debug: line, info: line, warn: line, error: line }
    const { clock } = hand
    const { url } = receiver
    const delivery = new Delivery({
      what: 'events',
      url,
      headers,
      contentType: 'application/json',
      envelope: (texts) => `{"events":[${texts.join(',')}]}`,
      onResult: (result, count) => {
        results[result] += count
      },
      onRequest: () => undefined,
      clock,
      random: () => 1,
      logger,
      limits,
    })
    const events = (result: DeliveryResult): number => results[result]
    return { ...hand, delivery, lines, events, takesAgain: () => again.promise }
  }

  const fails = (): void => receiver.answer((response) => response.writeHead(500).end())
  const event = (number: number): string => JSON.stringify({ number })
  const numbers = (): number[] =>
    receiver.received.flatMap(({ body }) =>
      (body as { events: { number: number }[] }).events.map(({ number }) => number),
    )

  it('brings them in order, with the headers that are configured', async () => {
    const { delivery } = open({}, { Authorization: 'Bearer secret' })
    for (const number of [1, 2, 3]) delivery.add(event(number))
    await receiver.requests(1)
    await delivery[Symbol.asyncDispose]()
    expect([...new Set(numbers())]).toEqual([1, 2, 3])
    expect(receiver.received[0]).toMatchObject({
      path: '/hook?key=secret',
      headers: {
        'content-type': 'application/json',
        authorization: 'Bearer secret',
      },
    })
  })

  it('tries again what failed, later each time, and loses nothing', async () => {
    const { delivery, wake, asleep, slept, events, lines, takesAgain } = open()
    fails()
    delivery.add(event(1))
    for (let attempt = 0; attempt < 3; attempt++) await wake()
    await asleep()
    delivery.add(event(2))
    receiver.answer((response) => response.end())
    await wake()
    await takesAgain()
    await delivery[Symbol.asyncDispose]()
    expect(slept).toEqual([1000, 2000, 4000, 8000])
    expect(numbers()).toEqual([1, 1, 1, 1, 1, 2])
    expect(events('delivered')).toBe(2)
    expect(lines.map(({ message }) => message)).toEqual([
      'events are not taken; trying again',
      'events are taken again',
    ])
  })

  it('never tells the log more of the receiver than its host', async () => {
    const { delivery, asleep, lines } = open({}, { Authorization: 'Bearer secret' })
    receiver.answer((response) => response.destroy())
    delivery.add(event(1))
    await asleep()
    await delivery[Symbol.asyncDispose]()
    expect(JSON.stringify(lines)).toContain(receiver.url.host)
    expect(JSON.stringify(lines)).not.toContain('secret')
  })

  it.each([301, 400, 401, 500])('takes %d for a failure, and goes nowhere else', async (status) => {
    const { delivery, asleep, events } = open()
    receiver.answer((response) => response.writeHead(status, { Location: '/elsewhere' }).end())
    delivery.add(event(1))
    await asleep()
    await delivery[Symbol.asyncDispose]()
    expect(receiver.received.map(({ path }) => path)).toEqual(['/hook?key=secret'])
    expect(events('delivered')).toBe(0)
  })

  it('gives a receiver that hangs no longer than its time', async () => {
    const { delivery, asleep, lines } = open({ timeoutMs: 50 })
    receiver.answer(() => undefined)
    delivery.add(event(1))
    await asleep()
    await delivery[Symbol.asyncDispose]()
    expect(lines[0]?.fields).toMatchObject({ reason: 'it did not answer in time' })
  })

  it('does not listen to a receiver that goes on talking', async () => {
    const { delivery, events } = open()
    receiver.answer((response) => {
      const talk = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(65_536), talk)
      }
      talk()
    })
    delivery.add(event(1))
    await receiver.requests(1)
    delivery.add(event(2))
    await receiver.requests(2)
    await delivery[Symbol.asyncDispose]()
    expect(events('delivered')).toBe(2)
  })

  it('keeps so many events and so many characters, and counts what it drops', async () => {
    fails()
    for (const limits of [{ maxTexts: 3 }, { maxCharacters: 3 * event(1).length }]) {
      const { delivery, asleep, events } = open(limits)
      for (let number = 0; number < 10; number++) delivery.add(event(number))
      expect(delivery.size).toBe(3)
      expect(events('full')).toBe(7)
      await asleep()
      await delivery[Symbol.asyncDispose]()
    }
  })

  it('drops what could not be delivered for an hour', async () => {
    const { delivery, wake, asleep, events, slept } = open()
    fails()
    delivery.add(event(1))
    while (events('expired') === 0) {
      await asleep()
      if (events('expired') === 0) await wake()
    }
    expect(slept.slice(0, -1).reduce((sum, ms) => sum + ms, 0)).toBeGreaterThan(3_600_000)
    expect(delivery.size).toBe(0)
    await delivery[Symbol.asyncDispose]()
  })

  it('makes a last attempt when the node stops, and counts what is left', async () => {
    const { delivery, events } = open({ maxBatch: 2 })
    receiver.answer(() => undefined)
    for (let number = 0; number < 5; number++) delivery.add(event(number))
    await receiver.requests(1)
    receiver.answer((response) => response.end())
    await delivery[Symbol.asyncDispose]()
    expect(events('delivered')).toBe(2)
    expect(events('stopped')).toBe(3)
  })

  it('does not keep a node from stopping when nobody answers', async () => {
    const { delivery, events } = open({ farewellMs: 30 })
    receiver.answer(() => undefined)
    delivery.add(event(1))
    await receiver.requests(1)
    await delivery[Symbol.asyncDispose]()
    expect(events('stopped')).toBe(1)
  })
})
