import { expect, it } from 'vitest'
import { patient } from './patience.ts'

it('waits as long as it says on a machine that has processors left, and longer on one that has not', () => {
  expect(patient(1_000, [0.2], 2)).toBe(1_000)
  expect(patient(1_000, [2], 2)).toBe(1_000)
  expect(patient(1_000, [9], 2)).toBe(4_500)
  expect(patient(1_000, [1_000], 2)).toBe(20_000)
})
