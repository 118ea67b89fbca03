import { expect, it } from 'vitest'
import { patient } from './patience.ts'

it('waits as long as it says on a machine that has processors left, and longer on one that has not', () => {
  expect(patient(1_000, [0.2], 2)).toBe(1_000)
  expect(patient(1_000, [2], 2)).toBe(1_000)
  expect(patient(1_000, [9], 2)).toBe(4_500)
  expect(patient(60_000, [17.333], 2)).toBe(519_990)
  expect(Number.isInteger(patient(60_000, [17.33], 3))).toBe(true)
  expect(patient(1_000, [1_000], 2)).toBe(20_000)
})
