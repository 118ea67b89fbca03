import { expect, it } from 'vitest'
import { patience } from '../../src/base/patience.ts'

/** Whoever sleeps is woken when the process has its turn, which is later than it should be. */
class LateClock {
  nowMs = 0
  #wake: (() => void) | undefined
  #dueMs = 0

  now(): number {
    return this.nowMs
  }

  async sleep(ms: number): Promise<void> {
    this.#dueMs = this.nowMs + ms
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
  }

  async passes(ms: number): Promise<void> {
    this.nowMs += ms
    if (this.nowMs < this.#dueMs) return
    this.#wake?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

it('ends after its time', async () => {
  const clock = new LateClock()
  const late = patience(800, clock)
  for (let turn = 1; turn < 8; turn++) await clock.passes(100)
  expect(late.aborted).toBe(false)
  await clock.passes(100)
  expect(late.aborted).toBe(true)
  expect(late.reason).toMatchObject({ name: 'TimeoutError' })
})

it('does not end because the process was kept from running', async () => {
  const clock = new LateClock()
  const late = patience(800, clock)
  await clock.passes(60_000)
  expect(late.aborted).toBe(false)
  for (let turn = 1; turn < 8; turn++) await clock.passes(5000)
  expect(late.aborted).toBe(true)
})
