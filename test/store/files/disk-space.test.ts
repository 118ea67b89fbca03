import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/base.ts'
import { DiskSpace } from '../../../src/store/files/disk-space.ts'

const reserve = 64

/** A disk in memory: what is written takes room at once, what others write as well. */
function disk(freeBytes: number, logger = silentLogger) {
  const state = { freeBytes }
  return {
    state,
    space: new DiskSpace('/data', reserve, { usage: async () => ({ freeBytes: state.freeBytes }), logger }),
  }
}

describe('the reserve', () => {
  it('is kept when others fill the disk between two writes', async () => {
    const { state, space } = disk(1_000)
    await space.take(10)
    state.freeBytes -= 10
    space.settle(10)
    state.freeBytes = reserve + 1
    await expect(space.take(2)).rejects.toMatchObject({ code: 'STORE_FULL' })
    await space.take(1)
  })

  it('is told in sizes that a person reads, with the flag that sets it', async () => {
    const usage = async () => ({ freeBytes: 1.5 * 2 ** 30 })
    const space = new DiskSpace('/data', 2 ** 28, { usage })
    await expect(space.take(2 ** 31)).rejects.toThrow(
      'the disk of /data has 1.5 GiB left, and 256 MiB are to stay free (--min-free); on that host, shoal gc',
    )
  })

  it('is looked at ten times a second where there is much room, and for each write where there is not', async () => {
    const state = { freeBytes: 2 ** 40, looks: 0, nowMs: 0 }
    const usage = async () => {
      state.looks++
      return { freeBytes: state.freeBytes }
    }
    const clock = { now: () => state.nowMs, sleep: () => Promise.reject(new Error('nobody sleeps')) }
    const space = new DiskSpace('/data', reserve, { usage, clock })
    for (let n = 0; n < 10; n++) await space.take(1000)
    expect(state.looks).toBe(1)
    state.nowMs += 101
    state.freeBytes = 2 ** 30
    await space.take(1000)
    await space.take(1000)
    expect(state.looks).toBe(3)
    state.freeBytes = reserve
    await expect(space.take(1)).rejects.toMatchObject({ code: 'STORE_FULL' })
  })

  it('is asked anew for what is nearly all of its room', async () => {
    const { state, space } = disk(2 ** 40)
    await space.take(1)
    state.freeBytes = 2 ** 39
    await expect(space.take(2 ** 40 - 2 ** 29)).rejects.toMatchObject({ code: 'STORE_FULL' })
  })

  it('says once that nothing more is taken, however many are refused', async () => {
    const said: string[] = []
    const { space } = disk(reserve, { ...silentLogger, warn: (_, message) => void said.push(message) })
    for (let n = 0; n < 30; n++) await expect(space.take(1)).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(said).toEqual(['there is no room on the disk for what is to be stored'])
  })

  it('is not given away twice to those who ask at once', async () => {
    const { space } = disk(reserve + 100)
    const asked = await Promise.allSettled(Array.from({ length: 30 }, () => space.take(10)))
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
  })

  it('counts what was written while the disk was looked at', async () => {
    const state = { freeBytes: reserve + 100 }
    let looked = Promise.withResolvers<void>()
    const usage = async () => {
      const { freeBytes } = state
      await looked.promise
      return { freeBytes }
    }
    const space = new DiskSpace('/data', reserve, { usage })
    looked.resolve()
    await space.take(80)
    looked = Promise.withResolvers()
    const next = space.take(80)
    state.freeBytes -= 80
    space.settle(80)
    looked.resolve()
    await expect(next).rejects.toMatchObject({ code: 'STORE_FULL' })
  })

  it('holds for any order of writers and looks', async () => {
    const writer = fc.record({ bytes: fc.nat(60), failing: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(writer, { maxLength: 20 }), async (scheduler, writers) => {
        const state = { freeBytes: reserve + 200 }
        const usage = async () => {
          await scheduler.schedule(Promise.resolve(), 'before')
          const { freeBytes } = state
          await scheduler.schedule(Promise.resolve(), 'after')
          return { freeBytes }
        }
        const space = new DiskSpace('/data', reserve, { usage })
        const write = async ({ bytes, failing }: { bytes: number; failing: boolean }): Promise<void> => {
          await scheduler.schedule(Promise.resolve(), 'begin')
          await space.take(bytes)
          await scheduler.schedule(Promise.resolve(), 'write')
          if (!failing) state.freeBytes -= bytes
          expect(state.freeBytes).toBeGreaterThanOrEqual(reserve)
          await scheduler.schedule(Promise.resolve(), 'settle')
          space.settle(bytes)
        }
        await scheduler.waitFor(Promise.allSettled(writers.map(write)))
        expect(state.freeBytes).toBeGreaterThanOrEqual(reserve)
      }),
      { numRuns: 200 },
    )
  })
})
