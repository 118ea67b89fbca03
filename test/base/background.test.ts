import { describe, expect, it } from 'vitest'
import { Background, type Clock, ClosingError, type Logger, silentLogger } from '../../src/base/base.ts'

function loggedErrors(): { logger: Logger; errors: unknown[] } {
  const errors: unknown[] = []
  return { logger: { ...silentLogger, error: (fields: unknown) => errors.push(fields) }, errors }
}

describe('Background', () => {
  it('logs a failure with the name of the task, and goes on', async () => {
    const { logger, errors } = loggedErrors()
    const background = new Background('the test', logger)
    const failure = new Error('no')
    background.start('first', async () => {
      throw failure
    })
    const ran = Promise.withResolvers<void>()
    background.start('second', async () => ran.resolve())
    await ran.promise
    await background[Symbol.asyncDispose]()
    expect(errors).toEqual([{ err: failure, task: 'first' }])
  })

  it('stops what runs, waits for it, and says nothing of how that ended', async () => {
    const { logger, errors } = loggedErrors()
    const background = new Background('the test', logger)
    let ended = false
    background.start('long', async (signal) => {
      const stopped = Promise.withResolvers<void>()
      signal.addEventListener('abort', () => stopped.resolve(), { once: true })
      await stopped.promise
      await Promise.resolve()
      ended = true
      throw signal.reason
    })
    await background[Symbol.asyncDispose]()
    expect(ended).toBe(true)
    expect(background.signal.reason).toEqual(new ClosingError('the test is closing'))
    expect(errors).toEqual([])
  })

  it('begins nothing once it is closed', async () => {
    const background = new Background('the test', silentLogger)
    await background[Symbol.asyncDispose]()
    let began = false
    background.start('late', async () => {
      began = true
    })
    expect(began).toBe(false)
  })

  it('goes on with a loop whose work fails, at intervals that chance spreads', async () => {
    const { logger, errors } = loggedErrors()
    const background = new Background('the test', logger)
    const slept: number[] = []
    const clock: Clock = {
      now: () => 0,
      sleep: async (ms) => {
        slept.push(ms)
      },
    }
    const chances = [0, 0.5, 1]
    const third = Promise.withResolvers<void>()
    let runs = 0
    background.every('loop', 1000, { clock, random: () => chances.shift() ?? 0 }, async (signal) => {
      runs++
      if (runs < 3) throw new Error('no')
      third.resolve()
      const stopped = Promise.withResolvers<void>()
      signal.addEventListener('abort', () => stopped.resolve(), { once: true })
      await stopped.promise
    })
    await third.promise
    await background[Symbol.asyncDispose]()
    expect(slept.map(Math.round)).toEqual([800, 1000, 1200])
    expect(errors).toHaveLength(2)
  })
})
