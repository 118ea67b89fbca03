import fc from 'fast-check'
import { expect, it } from 'vitest'
import { FairBudget } from '../../src/base/base.ts'

function budgetOf(burst: number, perSecond: number) {
  let nowMs = 0
  const budget = new FairBudget({ burst, perSecond, now: () => nowMs })
  const pass = (ms: number): void => {
    nowMs += ms
  }
  return { budget, pass }
}

it('gives all but an eighth of it to who asks alone', () => {
  const { budget, pass } = budgetOf(1000, 10)
  let taken = 0
  while (budget.take('one', 10)) taken += 10
  expect(taken).toBe(880)
  pass(1000)
  expect(budget.take('one', 10)).toBe(true)
  expect(budget.take('one', 10)).toBe(false)
})

it('has something left for who asks seldom, however often others do', () => {
  const { budget, pass } = budgetOf(1000, 10)
  for (let second = 1; second <= 3600; second++) {
    pass(1000)
    for (const greedy of ['greedy', 'another']) while (budget.take(greedy, 5));
    if (second % 60 === 0) expect(budget.take('modest', 5)).toBe(true)
  }
})

it('keeps for others what is below the half of it', () => {
  const { budget } = budgetOf(1000, 0)
  expect(budget.take('modest', 1)).toBe(true)
  while (budget.take('greedy', 10));
  let taken = 0
  while (budget.take('modest', 10)) taken += 10
  expect(taken).toBeGreaterThanOrEqual(370)
  // The last eighth is for who comes after both of them.
  let late = 0
  while (budget.take('late', 10)) late += 10
  expect(late).toBeGreaterThanOrEqual(120)
})

it('forgets with time who took much', () => {
  const { budget, pass } = budgetOf(1000, 0)
  budget.take('modest', 10)
  while (budget.take('greedy', 10));
  pass(20 * 60_000)
  expect(budget.take('greedy', 10)).toBe(true)
})

it('gives no more in all, to however many names', () => {
  const step = fc.record({ name: fc.nat(50), amount: fc.integer({ min: 1, max: 100 }), ms: fc.nat(1000) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const { budget, pass } = budgetOf(500, 20)
      let [taken, passedMs] = [0, 0]
      for (const { name, amount, ms } of steps) {
        pass(ms)
        passedMs += ms
        if (budget.take(`${name}`, amount)) taken += amount
        expect(taken).toBeLessThanOrEqual(500 + 100 + (20 * passedMs) / 1000)
      }
    }),
  )
})

it('holds a bounded number of names', () => {
  const { budget } = budgetOf(Number.MAX_SAFE_INTEGER, 0)
  for (let n = 0; n < 30_000; n++) expect(budget.take(`${n}`, 1)).toBe(true)
})
