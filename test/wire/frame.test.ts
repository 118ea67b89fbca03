import fc from 'fast-check'
import { expect, it } from 'vitest'
import { FrameReader, frameHeader } from '../../src/wire/wire.ts'

it('writes the length as four bytes, big endian', () => {
  expect(Buffer.from(frameHeader(258, 1000)).toString('hex')).toBe('00000102')
  expect(() => frameHeader(1001, 1000)).toThrowError(expect.objectContaining({ code: 'TOO_LARGE' }))
})

it('reads the frames that were written, however the stream was split', () => {
  const frames = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 })
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 30 })), (sent, cuts) => {
      const stream = Buffer.concat(sent.flatMap((frame) => [frameHeader(frame.length, 40), frame]))
      const reader = new FrameReader({ maxBytes: 40 })
      const received: Uint8Array[] = []
      let at = 0
      for (const cut of [...cuts, stream.length]) {
        received.push(...reader.push(Uint8Array.from(stream.subarray(at, at + cut))))
        at += cut
      }
      reader.end()
      expect(received.map((frame) => [...frame])).toEqual(sent.map((frame) => [...frame]))
    }),
  )
})

it('frees the memory of a chunk that has it to itself, and of no other', () => {
  const reader = new FrameReader({ maxBytes: 100 })
  const shared = new Uint8Array([0, 0, 0, 2, 7, 8, 9])
  expect(reader.push(shared.subarray(0, 5))).toEqual([])
  expect(shared).toHaveLength(7)
  const own = new Uint8Array([6])
  expect(reader.push(own)).toEqual([new Uint8Array([7, 6])])
  expect(own.buffer.detached).toBe(true)
})

it.each([1, 3, 4, 6])('refuses an end after %i bytes of a frame', (length) => {
  const reader = new FrameReader({ maxBytes: 100 })
  reader.push(Buffer.from('00000003aabbcc', 'hex').subarray(0, length))
  expect(() => reader.end()).toThrowError(expect.objectContaining({ code: 'CHANNEL_BROKEN' }))
})

it('refuses a frame that is too long before it arrives', () => {
  const reader = new FrameReader({ maxBytes: 100 })
  expect(() => reader.push(Buffer.from('ffffffff', 'hex'))).toThrowError(
    expect.objectContaining({ code: 'TOO_LARGE', bytes: 0xffffffff }),
  )
})
