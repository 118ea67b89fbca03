/** What a node allows itself on machines of several sizes. */
import { expect, it } from 'vitest'
import { budgetsFor } from '../../node/budgets.ts'

const mib = 2 ** 20

it('leaves most of a small group to the program, its libraries and the kernel', () => {
  const { workers, freshBytes: _, ...budgets } = budgetsFor({ processors: 0.5, memoryBytes: 256 * mib })
  const all = Object.values(budgets).reduce((sum, bytes) => sum + bytes, 0)
  expect(workers).toBe(1)
  expect(all).toBeLessThanOrEqual(80 * mib)
})

it('goes as far on a machine of a gigabyte as on a larger one', () => {
  const processors = 2
  expect(budgetsFor({ processors, memoryBytes: 1024 * mib })).toEqual(
    budgetsFor({ processors, memoryBytes: 65_536 * mib }),
  )
})

it('has room for the largest manifest wherever it runs', () => {
  const { manifestBytes, bodyBytes, answerBytes } = budgetsFor({ processors: 1, memoryBytes: mib })
  expect(Math.min(manifestBytes, bodyBytes, answerBytes)).toBe(4 * mib)
})
