/** What a peer's yamux frames become, however they were cut: against yamux' own muxer, and against floods of small ones. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { multiplexing, YamuxFrames } from '../../../src/swarm/streams/yamux-frames.ts'

const [data, window, ping, goAway] = [0, 1, 2, 3] as const
const [syn, ack, fin, rst] = [1, 2, 4, 8] as const

interface Sent {
  type: number
  flag: number
  streamID: number
  length: number
  bytes?: Uint8Array
}

function encode({ type, flag, streamID, length, bytes = new Uint8Array(0) }: Sent): Uint8Array {
  const frame = new Uint8Array(12 + bytes.length)
  const view = new DataView(frame.buffer)
  view.setUint8(1, type)
  view.setUint16(2, flag)
  view.setUint32(4, streamID)
  view.setUint32(8, length)
  frame.set(bytes, 12)
  return frame
}

const dataFrame = (streamID: number, bytes: Uint8Array, flag = 0): Sent => ({
  type: data,
  flag,
  streamID,
  length: bytes.length,
  bytes,
})

/** On a connection that takes all that is sent, and gets what the test says. */
function openMuxer(limits: { maxInboundStreams: number }) {
  const none = (): void => undefined
  const log = Object.assign(none, { trace: none, error: none, enabled: false, newScope: () => log })
  const connection = Object.assign(new EventTarget(), { log, direction: 'inbound', send: () => true })
  const factory = multiplexing({ ...limits, enableKeepAlive: false })()
  const muxer = factory.createStreamMuxer(
    connection as unknown as Parameters<typeof factory.createStreamMuxer>[0],
  )
  const receive = (data: Uint8Array): unknown =>
    connection.dispatchEvent(Object.assign(new Event('message'), { data }))
  return { muxer, receive }
}

function all(sent: Sent[]): Uint8Array {
  return new Uint8Array(Buffer.concat(sent.map(encode)))
}

function* cut(bytes: Uint8Array, at: number[]): Generator<Uint8Array> {
  const points = [...new Set(at.map((point) => point % (bytes.length + 1)))].sort((a, b) => a - b)
  let from = 0
  for (const point of [...points, bytes.length]) {
    yield bytes.subarray(from, point)
    from = point
  }
}

/** What a stream sees of it, in order: bytes, windows, and its beginning and end. */
function seen(frames: Iterable<{ header: Sent; data?: Uint8Array }>) {
  const streams = new Map<number, { bytes: number[]; granted: number; flags: number; ended: number }>()
  for (const { header, data: bytes } of frames) {
    const stream = streams.get(header.streamID) ?? { bytes: [], granted: 0, flags: 0, ended: 0 }
    streams.set(header.streamID, stream)
    expect(stream.ended & rst).toBe(0)
    if (header.type === data) stream.bytes.push(...(bytes ?? []))
    if (header.type === window) stream.granted += header.length
    stream.flags |= header.flag
    stream.ended |= header.flag & (fin | rst)
  }
  return streams
}

describe('yamux frames', () => {
  it('262,144 frames of one byte are a frame for each piece that came', () => {
    const frames = new YamuxFrames()
    const piece = all(Array.from({ length: 4096 }, (_, at) => dataFrame(3, Uint8Array.of(at))))
    const got = Array.from({ length: 64 }, () => [...frames.emitFrames(piece)])
    expect(got.map(({ length }) => length)).toEqual(Array(64).fill(1))
    const bytes = got.flat().flatMap(({ data: part }) => [...(part ?? [])])
    expect(bytes).toHaveLength(262_144)
    expect(bytes.every((byte, at) => byte === at % 256)).toBe(true)
  })

  it('small frames of several streams in turn are one for each stream', () => {
    const sent = Array.from({ length: 1000 }, (_, at) => dataFrame(1 + 2 * (at % 4), Uint8Array.of(at)))
    expect([...new YamuxFrames().emitFrames(all(sent))].map(({ header }) => header)).toEqual(
      [1, 3, 5, 7].map((streamID) => ({ type: data, flag: 0, streamID, length: 250 })),
    )
  })

  it('a flood of windows is one, and a flood of pings is answered once', () => {
    const windows = Array.from({ length: 1000 }, () => ({ type: window, flag: 0, streamID: 1, length: 2 }))
    const pings = Array.from({ length: 1000 }, (_, at) => ({
      type: ping,
      flag: syn,
      streamID: 0,
      length: at,
    }))
    expect(
      [...new YamuxFrames().emitFrames(all([...windows, ...pings]))].map(({ header }) => header),
    ).toEqual([
      { type: window, flag: 0, streamID: 1, length: 2000 },
      { type: ping, flag: syn, streamID: 0, length: 999 },
    ])
  })

  it('bytes go on before their frame is whole: one that says it has 4 GiB is not kept', () => {
    const frames = new YamuxFrames()
    const header = encode({ type: data, flag: 0, streamID: 1, length: 0xffff_ffff })
    expect([...frames.emitFrames(header)]).toEqual([])
    for (const part of [Uint8Array.of(1), Uint8Array.of(2, 3)]) {
      expect([...frames.emitFrames(part)]).toEqual([
        { header: { type: data, flag: 0, streamID: 1, length: part.length }, data: part },
      ])
    }
  })

  it('a stream ends after the last byte of the frame that ends it', () => {
    const frames = new YamuxFrames()
    const sent = encode(dataFrame(1, Uint8Array.of(1, 2), fin))
    const got = [...frames.emitFrames(sent.subarray(0, 13)), ...frames.emitFrames(sent.subarray(13))]
    expect(got.map(({ header: { type, flag, length } }) => [type, flag, length])).toEqual([
      [data, 0, 1],
      [data, 0, 1],
      [window, fin, 0],
    ])
  })

  it('what came before the end of the connection goes on before it', () => {
    const sent = [dataFrame(1, Uint8Array.of(1)), { type: goAway, flag: 0, streamID: 0, length: 0 }]
    expect([...new YamuxFrames().emitFrames(all(sent))].map(({ header }) => header.type)).toEqual([
      data,
      goAway,
    ])
  })

  it('streams that are opened faster than makes sense end the connection', () => {
    let nowMs = 0
    const frames = new YamuxFrames(() => nowMs)
    const open = (streamID: number) => [
      ...frames.emitFrames(encode({ type: window, flag: syn, streamID, length: 0 })),
    ]
    for (let at = 0; at < 4096; at++) open(1 + 2 * at)
    nowMs += 1000
    for (let at = 0; at < 1024; at++) open(9001 + 2 * at)
    expect(() => open(1)).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
  })

  it('another version is refused', () => {
    const header = encode({ type: data, flag: 0, streamID: 1, length: 0 })
    header[0] = 1
    expect(() => [...new YamuxFrames().emitFrames(header)]).toThrow(
      expect.objectContaining({ code: 'MALFORMED' }),
    )
  })

  it('streams that come before libp2p looks for them are kept', async () => {
    const { muxer, receive } = openMuxer({ maxInboundStreams: 64 })
    const ids = Array.from({ length: 64 }, (_, at) => 1 + 2 * at)
    receive(all(ids.map((streamID) => ({ type: window, flag: syn, streamID, length: 0 }))))
    const opened: string[] = []
    muxer.addEventListener('stream', ({ detail }) => opened.push(detail.id))
    await Promise.resolve()
    expect([muxer.status, opened]).toEqual(['open', ids.map(String)])
  })

  const anyFrame = fc.oneof(
    fc
      .record({
        streamID: fc.integer({ min: 1, max: 4 }),
        bytes: fc.uint8Array({ maxLength: 40 }),
        flag: fc.constantFrom(0, 0, 0, ack, syn),
      })
      .map(({ streamID, bytes, flag }) => dataFrame(streamID, bytes, flag)),
    fc.record({
      type: fc.constant(window),
      flag: fc.constantFrom(0, 0, ack, syn),
      streamID: fc.integer({ min: 1, max: 4 }),
      length: fc.nat({ max: 1000 }),
    }),
  )
  const ends = fc.uniqueArray(
    fc.record({
      type: fc.constant(window),
      flag: fc.constantFrom(fin, rst),
      streamID: fc.integer({ min: 1, max: 4 }),
      length: fc.constant(0),
    }),
    { selector: ({ streamID }) => streamID },
  )

  it('every stream sees the same, however the bytes were cut', () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 20 }),
        ends,
        fc.array(fc.nat()),
        (sent: Sent[], last: Sent[], at) => {
          const frames = new YamuxFrames()
          const got = seen(
            [...cut(all([...sent, ...last]), at)].flatMap((part) => [...frames.emitFrames(part)]),
          )
          const expected = seen(
            [...sent, ...last].map(({ bytes, ...header }) => ({ header, ...(bytes && { data: bytes }) })),
          )
          for (const [streamID, stream] of expected) {
            if (stream.bytes.length + stream.granted + stream.flags > 0)
              expect(got.get(streamID)).toEqual(stream)
          }
        },
      ),
    )
  })
})
