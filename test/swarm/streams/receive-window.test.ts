/** What is granted to the sender of a real yamux stream, whose frames go nowhere. */
import { StreamState, YamuxStream } from '@libp2p/yamux/stream'
import { describe, expect, test } from 'vitest'
import { StreamReader } from '../../../src/swarm/streams/stream-reader.ts'

const windowUpdate = 1
const dataFrame = 0
const syn = 1
const kib = 1024

const quiet = Object.assign(() => undefined, { trace: () => undefined, error: () => undefined })

function openStream(state: StreamState, { rttMs = -1, mostKib = 256 } = {}) {
  const granted: number[] = []
  const stream = new YamuxStream({
    id: '1',
    streamId: 1,
    state,
    direction: 'inbound',
    log: quiet,
    initialStreamWindowSize: 256 * kib,
    maxStreamWindowSize: mostKib * kib,
    getRTT: () => rttMs,
    sendFrame: ({ type, length }: { type: number; length: number }) => {
      if (type === windowUpdate) granted.push(length)
      return true
    },
  } as unknown as ConstructorParameters<typeof YamuxStream>[0])
  const reader = new StreamReader(stream).attach()
  const receive = (bytes: number, flag = 0): void => {
    const header = { type: dataFrame, flag, streamID: 1, length: bytes }
    stream.handleData({ header, data: new Uint8Array(bytes) } as unknown as Parameters<
      YamuxStream['handleData']
    >[0])
  }
  return { stream, reader, granted, receive }
}

describe('the receive window', () => {
  test('is granted again for many small messages at once', async () => {
    const { reader, granted, receive } = openStream(StreamState.Established)
    for (let at = 0; at < 63; at++) receive(kib)
    expect(granted).toEqual([])
    receive(kib)
    expect(granted).toEqual([64 * kib])
    expect(await reader.ready(64 * kib)).toBe(true)
  })

  test('is granted in one frame where it grows, too', () => {
    const { reader, granted, receive } = openStream(StreamState.Established, { rttMs: 1, mostKib: 2048 })
    for (let at = 1; at <= 1024; at++) {
      receive(kib)
      reader.takeChunk(kib)
      expect(granted.length).toBe(Math.floor(at / 64))
    }
  })

  test('answers the first frame of a stream that the other side opened, without which it is not open', () => {
    const { stream, granted, receive } = openStream(StreamState.SYNReceived)
    receive(100, syn)
    expect(granted).toEqual([100])
    expect(stream.state).toBe(StreamState.Established)
    receive(100)
    expect(granted).toEqual([100])
  })

  test.each([1, 1000, 40 * kib, 100 * kib, 256 * kib])(
    'never starves a sender of frames of %i bytes',
    (bytes) => {
      const { reader, granted, receive } = openStream(StreamState.Established)
      let capacity = 256 * kib
      for (let sent = 0; sent < 1024 * kib; ) {
        const frame = Math.min(bytes, capacity)
        if (frame <= 0) throw new Error(`starved after ${sent} bytes`)
        receive(frame)
        reader.takeChunk(frame)
        sent += frame
        capacity += granted.splice(0).reduce((sum, length) => sum + length, -frame)
        if (bytes === 1 && sent > 200 * kib) break
      }
      expect(capacity).toBeGreaterThan(128 * kib)
    },
  )

  test('is not granted while the consumer does not take, and then as a whole', async () => {
    const { stream, reader, granted, receive } = openStream(StreamState.Established)
    for (let at = 0; at < 9; at++) receive(63 * kib)
    await Promise.resolve()
    expect(stream.readStatus).toBe('paused')
    granted.length = 0
    receive(100 * kib)
    expect(granted).toEqual([])
    while (reader.buffered > 0) reader.takeChunk(63 * kib)
    expect(stream.readStatus).toBe('readable')
    expect(granted.reduce((sum, length) => sum + length, 0)).toBeGreaterThanOrEqual(100 * kib)
  })
})
