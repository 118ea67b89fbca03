import { expect, it } from 'vitest'
import { channelPair } from '../../src/wire/wire.ts'

const frame = (length: number): Uint8Array => new Uint8Array(length)

it('delivers in order, then the end', async () => {
  const { a, b, sent } = channelPair()
  await a.send(frame(1))
  await a.send(frame(2))
  await a.close()
  expect([(await b.receive())?.length, (await b.receive())?.length, await b.receive()]).toEqual([
    1,
    2,
    undefined,
  ])
  await b.send(frame(3))
  expect((await a.receive())?.length).toBe(3)
  expect([sent.a, sent.b]).toEqual([11, 7])
  await expect(a.send(frame(1))).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
})

it('holds the sender until the receiver takes something', async () => {
  const { a, b } = channelPair({ windowBytes: 10 })
  let sent = false
  const sending = a.send(frame(10)).then(() => {
    sent = true
  })
  await new Promise(setImmediate)
  expect(sent).toBe(false)
  await b.receive()
  await sending
})

it('breaks on both sides when one aborts, also under those who wait', async () => {
  const { a, b } = channelPair()
  const waiting = expect(b.receive()).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
  a.abort(new Error('enough'))
  await waiting
  await expect(a.receive()).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
  await expect(b.send(frame(1))).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
})

it('stops waiting when the signal says so', async () => {
  const { a } = channelPair()
  const controller = new AbortController()
  const waiting = expect(a.receive({ signal: controller.signal })).rejects.toThrow('enough')
  controller.abort(new Error('enough'))
  await waiting
})

it('refuses a frame that is too long', async () => {
  const { a } = channelPair({ maxFrameBytes: 10 })
  await expect(a.send(frame(11))).rejects.toMatchObject({ code: 'TOO_LARGE' })
})
