/** The memory that blobs are read into. */
import { expect, it } from 'vitest'
import { ReadBuffers } from '../../../src/store/files/read-buffers.ts'

const mebibyte = 2 ** 20

it('keeps its buffers for the next reader, and lets go of them all while nobody reads', () => {
  const buffers = new ReadBuffers(32 * mebibyte)
  buffers.enter()
  const buffer = buffers.take(mebibyte)
  buffers.give(buffer)
  buffers.rest()
  expect(buffers.take(mebibyte) === buffer).toBe(true)
  buffers.give(buffer)
  buffers.leave()
  expect(buffers.bytes).toBe(mebibyte)
  buffers.rest()
  expect(buffers.bytes).toBe(0)
  expect(buffers.take(mebibyte) === buffer).toBe(false)
  expect(buffers.bytes).toBe(mebibyte)
})
