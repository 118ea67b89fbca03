import { beforeEach, describe, expect, it } from 'vitest'
import { FreshPieces } from '../../../src/store/partials/fresh-pieces.ts'

const mebibyte = 2 ** 20

it('pieces that were written lately count as being in memory, and only whole ranges of them', () => {
  const fresh = new FreshPieces(mebibyte)
  fresh.add(3)
  fresh.add(4)
  expect(fresh.has(3 * mebibyte, 5 * mebibyte)).toBe(true)
  expect(fresh.has(3 * mebibyte + 1, 3 * mebibyte + 2)).toBe(true)
  expect(fresh.has(3 * mebibyte - 1, 4 * mebibyte)).toBe(false)
  expect(fresh.has(4 * mebibyte, 5 * mebibyte + 1)).toBe(false)
})

it('the first ones are taken for gone when 256 MiB came after them', () => {
  const fresh = new FreshPieces(16 * mebibyte)
  for (let piece = 0; piece <= 16; piece++) fresh.add(piece)
  expect(fresh.has(0, 1)).toBe(false)
  expect(fresh.has(16 * mebibyte, 17 * 16 * mebibyte)).toBe(true)
})

it('counts on no more of a small machine’s memory than it is told', () => {
  const fresh = new FreshPieces(mebibyte, { mostBytes: 4 * mebibyte })
  for (let piece = 0; piece < 6; piece++) fresh.add(piece)
  expect(fresh.has(mebibyte, 2 * mebibyte)).toBe(false)
  expect(fresh.has(2 * mebibyte, 6 * mebibyte)).toBe(true)
})

describe('reads that took as long as those of a disk', () => {
  let reads = 0
  let fresh: FreshPieces
  beforeEach(() => {
    fresh = new FreshPieces(mebibyte, { diskReads: () => reads })
    fresh.add(0)
  })
  const took = (ms: number, blocks: number): void => {
    reads += blocks
    fresh.took(ms)
  }

  it('two in turn, end that for all that was written before', () => {
    for (let turn = 0; turn < 2; turn++) took(20, 2048)
    expect(fresh.has(0, 1)).toBe(false)
    fresh.add(1)
    expect(fresh.has(mebibyte, 2 * mebibyte)).toBe(true)
  })

  it('do not when there were none of a disk: they waited for a processor', () => {
    for (let turn = 0; turn < 9; turn++) took(20, 0)
    expect(fresh.has(0, 1)).toBe(true)
  })

  it('do not when they are single', () => {
    for (const ms of [20, 1, 20, 1, 20]) took(ms, 8)
    expect(fresh.has(0, 1)).toBe(true)
  })
})
