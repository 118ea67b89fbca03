import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Alarm, type Timing } from '../../src/base/alarm.ts'
import { inStep } from '../../src/base/clock.ts'

/** Rings when it is told to go on, and counts how often that was. */
class FakeTiming implements Timing {
  rings = 0
  #nowMs = 0
  readonly #timers = new Set<{ atMs: number; ring(): void }>()

  now(): number {
    return this.#nowMs
  }

  set(ms: number, ring: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, ring }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  get armed(): number {
    return this.#timers.size
  }

  /** Whoever is woken has done what it does before the time goes on. */
  async goOn(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    for (;;) {
      const [next] = [...this.#timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)
      if (next === undefined) break
      this.#timers.delete(next)
      this.#nowMs = next.atMs
      this.rings++
      next.ring()
      await new Promise(setImmediate)
    }
    this.#nowMs = endMs
  }
}

describe('an alarm', () => {
  it('wakes those whose times are close together at once', async () => {
    const timing = new FakeTiming()
    const alarm = new Alarm(timing)
    await timing.goOn(1)
    const all = [80, 86, 95, 99].map((ms) => alarm.sleep(ms))
    await timing.goOn(99)
    await Promise.all(all)
    expect(timing.rings).toBe(1)
  })

  it('brings loops into step', async () => {
    const timing = new FakeTiming()
    const alarm = new Alarm(timing)
    const lengths = [25, 50, 50, 500]
    const turns = lengths.map(() => 0)
    const loop = async (at: number): Promise<void> => {
      for (;;) {
        await alarm.sleep(lengths[at] ?? 0)
        turns[at] = (turns[at] ?? 0) + 1
      }
    }
    for (const at of lengths.keys()) {
      void loop(at)
      await timing.goOn(17)
    }
    await timing.goOn(1000)
    const before = [...turns]
    timing.rings = 0
    await timing.goOn(10_000)
    expect(turns.map((count, at) => count - (before[at] ?? 0))).toEqual([400, 200, 200, 20])
    expect(timing.rings).toBe(400)
  })

  it('wakes loops of one length together that keep in step, whenever they began', async () => {
    const timing = new FakeTiming()
    const alarm = new Alarm(timing)
    // Counted from another beginning than the beats.
    const nowMs = (): number => Math.floor(timing.now() + 12_345.6)
    const lengths = [100, 100, 50, 100]
    const turns = lengths.map(() => 0)
    const loop = async (at: number): Promise<void> => {
      for (;;) {
        await alarm.sleep(inStep(lengths[at] ?? 0, nowMs()))
        turns[at] = (turns[at] ?? 0) + 1
      }
    }
    for (const at of lengths.keys()) {
      void loop(at)
      await timing.goOn(31)
    }
    await timing.goOn(1000)
    const before = [...turns]
    timing.rings = 0
    await timing.goOn(10_000)
    expect(turns.map((count, at) => count - (before[at] ?? 0))).toEqual([100, 100, 200, 100])
    expect(timing.rings).toBe(200)
  })

  it('rejects with the reason of the signal, and sets nothing for nobody', async () => {
    const timing = new FakeTiming()
    const alarm = new Alarm(timing)
    const stop = new AbortController()
    const sleeping = expect(alarm.sleep(100, stop.signal)).rejects.toThrow('enough')
    stop.abort(new Error('enough'))
    await sleeping
    await expect(alarm.sleep(100, stop.signal)).rejects.toThrow('enough')
    expect(timing.armed).toBe(0)
  })

  it('sleeps longer than a timer can take', async () => {
    const timing = new FakeTiming()
    const alarm = new Alarm(timing)
    let isAwake = false
    const sleeping = alarm.sleep(2 ** 32).then(() => {
      isAwake = true
    })
    await timing.goOn(2 ** 31)
    expect(isAwake).toBe(false)
    await timing.goOn(2 ** 32)
    await sleeping
  })

  it('wakes everybody at about the time, and nobody who left', async () => {
    const sleep = fc.record({ atMs: fc.nat(500), ms: fc.nat(20_000), leavesMs: fc.option(fc.nat(5000)) })
    await fc.assert(
      fc.asyncProperty(fc.array(sleep, { maxLength: 20 }), async (sleeps) => {
        const timing = new FakeTiming()
        const alarm = new Alarm(timing)
        const ends: { endMs: number; hasLeft: boolean }[] = []
        const leaving: { atMs: number; leave(): void }[] = []
        const begin = sleeps.map((one, at) => ({ ...one, at })).sort((a, b) => a.atMs - b.atMs)
        for (const { atMs, ms, leavesMs, at } of begin) {
          await timing.goOn(atMs - timing.now())
          const stop = new AbortController()
          alarm.sleep(ms, stop.signal).then(
            () => {
              ends[at] = { endMs: timing.now(), hasLeft: false }
            },
            () => {
              ends[at] = { endMs: timing.now(), hasLeft: true }
            },
          )
          if (leavesMs !== null)
            leaving.push({ atMs: 500 + leavesMs, leave: () => stop.abort(new Error('left')) })
        }
        for (const { atMs, leave } of leaving.sort((a, b) => a.atMs - b.atMs)) {
          await timing.goOn(Math.max(0, atMs - timing.now()))
          leave()
          await new Promise(setImmediate)
        }
        await timing.goOn(30_000)
        for (const [at, { atMs, ms, leavesMs }] of sleeps.entries()) {
          const end = ends[at]
          if (end?.hasLeft === true) expect(end.endMs).toBe(500 + (leavesMs ?? 0))
          else {
            expect(end?.endMs).toBeGreaterThanOrEqual(atMs + ms - (ms < 25 ? 0 : 5))
            expect(end?.endMs).toBeLessThanOrEqual(
              atMs + ms + (ms < 25 ? 1 : Math.max(25, Math.min(800, ms / 8))),
            )
          }
        }
        expect(timing.armed).toBe(0)
      }),
      { numRuns: 50 },
    )
  })
})
