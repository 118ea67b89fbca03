import { expect, it } from 'vitest'
import { DiskLots } from '../../../src/store/files/disk-lots.ts'
import { DiskSpace } from '../../../src/store/files/disk-space.ts'

const mebibyte = 2 ** 20

/** A disk in memory that counts how often it is looked at. */
function disk(freeBytes: number) {
  const state = { freeBytes, looks: 0 }
  const usage = async () => {
    state.looks++
    return { freeBytes: state.freeBytes }
  }
  return { state, space: new DiskSpace('/data', 0, { usage }) }
}

it('small writes in a row ask the disk once for four megabytes, and for no more than the file lacks', async () => {
  const { state, space } = disk(6 * mebibyte)
  const lots = new DiskLots(space)
  for (let written = 0; written < 6; written++) await lots.take(mebibyte, (6 - written) * mebibyte)
  expect(state.looks).toBe(2)
  await expect(lots.take(1, 1)).rejects.toMatchObject({ code: 'STORE_FULL' })
})

it('those who ask at once share a lot, and each has its room', async () => {
  const { state, space } = disk(5 * mebibyte)
  const lots = new DiskLots(space)
  const asked = await Promise.allSettled(Array.from({ length: 6 }, () => lots.take(mebibyte, mebibyte)))
  expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
  expect(state.looks).toBeGreaterThan(0)
})

it('what was not used is there for others at the end', async () => {
  const { state, space } = disk(4 * mebibyte)
  const lots = new DiskLots(space)
  await lots.take(mebibyte, 4 * mebibyte)
  state.freeBytes -= mebibyte
  lots.settle(mebibyte)
  await expect(space.take(mebibyte)).rejects.toMatchObject({ code: 'STORE_FULL' })
  lots.end()
  await space.take(3 * mebibyte)
})
