import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  FrameReader,
  frameBehind,
  frameHeader,
  frameIn,
  frameMemory,
  frameRoomBytes,
} from '../../src/wire/wire.ts'

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

it('puts short frames and its header in front of a frame that has room for them, and moves nothing', () => {
  const frames = fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 8 })
  fc.assert(
    fc.property(frames, fc.uint8Array({ minLength: 1, maxLength: 40 }), (short, content) => {
      const frame = frameIn(frameMemory(40), content.length)
      frame.set(content)
      const before = short.flatMap((each) => [frameHeader(each.length, 100), each])
      const whole = frameBehind(before, frame, 100)
      expect(whole?.buffer).toBe(frame.buffer)
      const received = new FrameReader({ maxBytes: 100 }).push(Uint8Array.from(whole ?? []))
      expect(received.map((each) => [...each])).toEqual([...short, content].map((each) => [...each]))
    }),
  )
})

it('leaves memory alone that has no room in front of a frame, or not enough', () => {
  const foreign = new Uint8Array(new ArrayBuffer(frameRoomBytes + 3).transfer(), frameRoomBytes)
  expect(frameBehind([], foreign, 100)).toBeUndefined()
  const frame = frameIn(frameMemory(3), 3)
  expect(frameBehind([], frame.subarray(1), 100)).toBeUndefined()
  expect(frameBehind([new Uint8Array(frameRoomBytes - 3)], frame, 100)).toBeUndefined()
  expect(frameBehind([new Uint8Array(frameRoomBytes - 4)], frame, 100)).toHaveLength(frameRoomBytes + 3)
  expect(() => frameBehind([], frame, 2)).toThrowError(expect.objectContaining({ code: 'TOO_LARGE' }))
})
