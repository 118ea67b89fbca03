/**
 * yamux, as libp2p has it, but for how it reads: there each frame of a byte costs as much as one of 64 KiB, and a frame is kept
 * until all of it has come, which may be 4 GiB. Here bytes go on as they come, and what came at once for a stream goes on as one.
 */
import { yamux } from '@libp2p/yamux'
import { MalformedError } from '../../wire/wire.ts'

/** What yamux' own decoder gives. */
export interface YamuxFrame {
  header: { type: number; flag: number; streamID: number; length: number }
  data?: Uint8Array
}

/** For one stream, since the last frame that went on. */
interface Arrived {
  parts: Uint8Array[]
  granted: number
  flag: number
  closing: number
}

const headerBytes = 12
const types = { data: 0, window: 1, ping: 2 }
const syn = 1
const finOrRst = 4 | 8
/** Streams that a peer may open at once, and each second after that: several times what a node in a hurry opens. */
const opensAtOnce = 4096
const opensPerSecond = 1024

export function multiplexing(
  init: Parameters<typeof yamux>[0] & { maxInboundStreams: number },
): ReturnType<typeof yamux> {
  // A peer opens streams as soon as it has shaken hands, and libp2p looks for them a moment later: more than 10 before that would
  // end the muxer, with the connection still there.
  const create = yamux({ maxEarlyStreams: init.maxInboundStreams, ...init })
  return () => {
    const multiplexer = create()
    const createStreamMuxer = multiplexer.createStreamMuxer.bind(multiplexer)
    multiplexer.createStreamMuxer = (connection) => {
      const muxer = createStreamMuxer(connection)
      // Declared private, and replaced whole.
      Reflect.set(muxer, 'decoder', new YamuxFrames())
      return muxer
    }
    return multiplexer
  }
}

export class YamuxFrames {
  readonly #nowMs: () => number
  readonly #header = new Uint8Array(headerBytes)
  readonly #view = new DataView(this.#header.buffer)
  #headerRead = 0
  /** Of the data whose bytes are coming. */
  #body = { streamID: 0, left: 0, closing: 0 }
  readonly #arrived = new Map<number, Arrived>()
  #ping: YamuxFrame | undefined
  #opens = opensAtOnce
  #opensAtMs: number

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs
    this.#opensAtMs = nowMs()
  }

  /**
   * In each call a stream gets one frame of each kind at most, and one ping is answered. Throws MalformedError for another
   * version, and for streams that are opened faster than makes sense.
   */
  *emitFrames(bytes: Uint8Array | Iterable<Uint8Array>): Generator<YamuxFrame, void, undefined> {
    for (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) {
      for (let at = 0; at < chunk.length; ) {
        if (this.#body.left > 0) at += this.#readBody(chunk, at)
        else {
          at += this.#readHeader(chunk, at)
          if (this.#headerRead === headerBytes) yield* this.#begin()
        }
      }
    }
    yield* this.#flush()
    // Its sender waits for one answer at a time.
    if (this.#ping !== undefined) yield this.#ping
    this.#ping = undefined
  }

  #readHeader(chunk: Uint8Array, at: number): number {
    const count = Math.min(headerBytes - this.#headerRead, chunk.length - at)
    for (let i = 0; i < count; i++) this.#header[this.#headerRead++] = chunk[at + i] ?? 0
    return count
  }

  #readBody(chunk: Uint8Array, at: number): number {
    const body = this.#body
    const part = chunk.subarray(at, at + body.left)
    const arrived = this.#of(body.streamID)
    arrived.parts.push(part)
    body.left -= part.length
    if (body.left === 0) arrived.closing |= body.closing
    return part.length
  }

  *#begin(): Generator<YamuxFrame, void, undefined> {
    this.#headerRead = 0
    const view = this.#view
    if (view.getUint8(0) !== 0) throw new MalformedError(`yamux of version ${view.getUint8(0)}`)
    const [type, flag] = [view.getUint8(1), view.getUint16(2)]
    const [streamID, length] = [view.getUint32(4), view.getUint32(8)]
    if (streamID === 0 || (type !== types.data && type !== types.window)) {
      const frame = { header: { type, flag, streamID, length } }
      if (type === types.ping && flag === syn) this.#ping = frame
      else {
        yield* this.#flush()
        yield frame
      }
      return
    }
    if ((flag & syn) !== 0) {
      this.#countOpen()
      yield { header: { type: types.window, flag: flag & ~finOrRst, streamID, length: 0 } }
    }
    const arrived = this.#of(streamID)
    arrived.flag |= flag & ~(syn | finOrRst)
    if (type === types.window) arrived.granted += length
    if (type === types.data && length > 0) this.#body = { streamID, left: length, closing: flag & finOrRst }
    else arrived.closing |= flag & finOrRst
  }

  #countOpen(): void {
    const nowMs = this.#nowMs()
    const refill = ((nowMs - this.#opensAtMs) / 1000) * opensPerSecond
    this.#opens = Math.min(opensAtOnce, this.#opens + refill) - 1
    this.#opensAtMs = nowMs
    if (this.#opens < 0) throw new MalformedError(`more than ${opensPerSecond} streams a second were opened`)
  }

  #of(streamID: number): Arrived {
    const known = this.#arrived.get(streamID)
    if (known !== undefined) return known
    const arrived = { parts: [], granted: 0, flag: 0, closing: 0 }
    this.#arrived.set(streamID, arrived)
    return arrived
  }

  *#flush(): Generator<YamuxFrame, void, undefined> {
    for (const [streamID, { parts, granted, flag, closing }] of this.#arrived) {
      const { window } = types
      this.#arrived.delete(streamID)
      if (granted > 0 || flag !== 0) yield { header: { type: window, flag, streamID, length: granted } }
      if (parts.length > 0) {
        const data = joined(parts)
        yield { header: { type: types.data, flag: 0, streamID, length: data.length }, data }
      }
      // By itself: bytes in the frame that ends a stream which was ended here, too, would be lost.
      if (closing !== 0) yield { header: { type: window, flag: closing, streamID, length: 0 } }
    }
  }
}

function joined(parts: Uint8Array[]): Uint8Array {
  const [first] = parts
  if (first !== undefined && parts.length === 1) return first
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
