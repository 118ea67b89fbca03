import { expect, it } from 'vitest'
import { FramePool } from '../../../src/exchange/peer/frame-pool.ts'
import { maxChunkBytes, maxFrameBytes } from '../../../src/exchange/protocol/raw-frames.ts'

const kibibyte = 1024

it('uses memory again for frames of about the same size', () => {
  const pool = new FramePool()
  const { buffer } = pool.take(70 * kibibyte)
  pool.give(buffer)
  expect(pool.take(200 * kibibyte).buffer).not.toBe(buffer)
  expect(pool.take(128 * kibibyte).buffer).toBe(buffer)
  expect(pool.take(128 * kibibyte).buffer).not.toBe(buffer)
})

it('uses it for smaller ones where nothing closer is kept', () => {
  const pool = new FramePool()
  const [large, small] = [pool.take(maxFrameBytes).buffer, pool.take(64 * kibibyte).buffer]
  for (const memory of [large, small]) pool.give(memory)
  expect(pool.take(60 * kibibyte).buffer).toBe(small)
  expect(pool.take(60 * kibibyte).buffer).toBe(large)
  pool.give(large)
  expect(pool.take(maxFrameBytes).buffer).toBe(large)
})

it('uses memory again that was with another thread', () => {
  const pool = new FramePool()
  const frame = pool.takeFor(128 * kibibyte)
  frame[0] = 7
  const { buffer } = frame.subarray(12)
  const back = structuredClone(buffer, { transfer: [buffer] })
  pool.give(back)
  const again = pool.take(128 * kibibyte)
  expect(again.buffer).toBe(back)
  expect(again[0]).toBe(7)
})

it('frees at once what is beyond what may be kept, what is not of its sizes, and all when it is cleared', () => {
  const pool = new FramePool({ mostBytes: maxChunkBytes })
  const [first, second] = [pool.take(128 * kibibyte).buffer, pool.take(128 * kibibyte).buffer]
  const other = new ArrayBuffer(128 * kibibyte)
  for (const memory of [first, other, second]) pool.give(memory)
  expect([first, other, second].map(({ byteLength }) => byteLength > 0)).toEqual([true, false, false])
  pool.clear()
  expect(first.byteLength).toBe(0)
  expect(pool.take(128 * kibibyte).buffer).not.toBe(first)
})

it('leaves memory alone that others use, too', () => {
  const pool = new FramePool()
  const text = Buffer.from('a word')
  pool.give(text.buffer)
  expect(text.toString()).toBe('a word')
})
