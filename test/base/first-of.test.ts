/** How long providers that hang, fail or come late keep one from what another has. */
import { describe, expect, it } from 'vitest'
import { firstOf } from '../../src/base/first-of.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'

const hangs = (signal: AbortSignal): Promise<undefined> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true }))

async function* listed(...providers: string[]): AsyncGenerator<string> {
  yield* providers
}

describe('the first of several providers', () => {
  it('that delivers is not kept waiting by sixteen that hang before it', async () => {
    const clock = new SteppedClock()
    const tried: string[] = []
    const result = firstOf(listed(...Array.from({ length: 16 }, (_, n) => `liar-${n}`), 'honest'), {
      async deliver(provider, { signal }) {
        tried.push(provider)
        if (provider === 'honest') return provider
        // As one that has no answer within two seconds.
        const late = clock.sleep(2000, { signal }).catch(() => undefined)
        return await Promise.race([hangs(signal), late.then(() => undefined)])
      },
      discard: () => undefined,
      besideMs: 400,
      most: 8,
      clock,
    })
    let isOver = false
    const over = result.then(() => {
      isOver = true
    })
    let passedMs = 0
    for (; !isOver; passedMs += 100) {
      clock.advance(100)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await over
    expect(await result).toBe('honest')
    expect(tried).toHaveLength(17)
    // One after the other they took 32 s.
    expect(passedMs).toBeLessThan(8000)
  })

  it('is alone while it answers in time', async () => {
    const tried: string[] = []
    const deliver = async (provider: string): Promise<string> => {
      tried.push(provider)
      return provider
    }
    const how = { deliver, discard: () => undefined, besideMs: 400, most: 8, clock: new SteppedClock() }
    expect(await firstOf(listed('a', 'b', 'c'), how)).toBe('a')
    expect(tried).toEqual(['a'])
  })

  it('is none when all fail, and its failure is that of all when one may not be survived', async () => {
    const clock = new SteppedClock()
    const how = { discard: () => undefined, besideMs: 400, most: 8, clock }
    expect(await firstOf(listed('a', 'b'), { ...how, deliver: async () => undefined })).toBeUndefined()
    const fault = new Error('the caller left')
    await expect(firstOf(listed('a'), { ...how, deliver: () => Promise.reject(fault) })).rejects.toBe(fault)
  })

  it('that comes after another is discarded', async () => {
    const clock = new SteppedClock()
    const discarded: string[] = []
    const slow = Promise.withResolvers<string>()
    const result = firstOf(listed('slow', 'quick'), {
      deliver: async (provider) => (provider === 'slow' ? await slow.promise : provider),
      discard: (provider) => discarded.push(provider),
      besideMs: 400,
      most: 8,
      clock,
    })
    await clock.pass(400)
    expect(await result).toBe('quick')
    slow.resolve('slow')
    await new Promise((resolve) => setImmediate(resolve))
    expect(discarded).toEqual(['slow'])
  })
})
