import { describe, expect, it } from 'vitest'
import { Keyed, Semaphore, SingleFlight } from '../../src/base/base.ts'

/** Work that waits until it is told to end. */
function held<T>() {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  return { work: () => promise, end: resolve, fail: reject }
}

describe('Semaphore', () => {
  it('lets so many in and no more, and passes the slot on in order', async () => {
    const semaphore = new Semaphore(2)
    const jobs = [held<number>(), held<number>(), held<number>(), held<number>()]
    const started: number[] = []
    const results = jobs.map((job, index) =>
      semaphore.run(() => {
        started.push(index)
        return job.work()
      }),
    )
    await Promise.resolve()
    expect([started, semaphore.waiting]).toEqual([[0, 1], 2])
    jobs[1]?.end(1)
    await results[1]
    await Promise.resolve()
    expect(started).toEqual([0, 1, 2])
    for (const job of jobs) job.end(0)
    await Promise.all(results)
    expect(started).toEqual([0, 1, 2, 3])
  })

  it('frees the slot of work that failed', async () => {
    const semaphore = new Semaphore(1)
    await expect(semaphore.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await semaphore.run(async () => 'next')).toBe('next')
  })

  it('lends a turn until it is given back, once', async () => {
    const semaphore = new Semaphore(1)
    const first = await semaphore.acquire()
    const [second, third] = [semaphore.acquire(), semaphore.acquire()]
    expect(semaphore.waiting).toBe(2)
    first[Symbol.dispose]()
    first[Symbol.dispose]()
    ;(await second)[Symbol.dispose]()
    ;(await third)[Symbol.dispose]()
    expect(await semaphore.run(async () => 'free')).toBe('free')
  })

  it('keeps no place for who gave up waiting', async () => {
    const semaphore = new Semaphore(1)
    const first = await semaphore.acquire()
    const leaving = new AbortController()
    const left = semaphore.acquire({ signal: leaving.signal })
    const next = semaphore.acquire()
    leaving.abort(new Error('no patience'))
    await expect(left).rejects.toThrow('no patience')
    first[Symbol.dispose]()
    ;(await next)[Symbol.dispose]()
    await expect(semaphore.acquire({ signal: leaving.signal })).rejects.toThrow('no patience')
    expect(await semaphore.run(async () => 'free')).toBe('free')
  })
})

describe('Keyed', () => {
  it('runs work on one key in turn, work on others at once, and forgets keys that rest', async () => {
    const keyed = new Keyed()
    const first = held<void>()
    const order: string[] = []
    const a1 = keyed.run('a', async () => {
      await first.work()
      order.push('a1')
    })
    const a2 = keyed.run('a', async () => void order.push('a2'))
    await keyed.run('b', async () => void order.push('b'))
    expect(order).toEqual(['b'])
    first.fail(new Error('first failed'))
    await expect(a1).rejects.toThrow('first failed')
    await a2
    expect([order, keyed.busy('a'), keyed.busy('b')]).toEqual([['b', 'a2'], false, false])
  })
})

describe('SingleFlight', () => {
  it('shares one answer among those who ask while it is on its way, and asks anew afterwards', async () => {
    const flights = new SingleFlight<number>()
    const job = held<number>()
    let runs = 0
    const ask = () =>
      flights.run('key', () => {
        runs++
        return job.work()
      })
    const answers = [ask(), ask()]
    job.end(7)
    expect(await Promise.all(answers)).toEqual([7, 7])
    expect(runs).toBe(1)
    await ask()
    expect(runs).toBe(2)
  })

  it('shares a failure too, and forgets it', async () => {
    const flights = new SingleFlight<number>()
    const fail = () => flights.run('key', () => Promise.reject(new Error('no')))
    const both = await Promise.allSettled([fail(), fail()])
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await flights.run('key', async () => 1)).toBe(1)
  })
})
