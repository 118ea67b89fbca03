/** Length-prefixed frames: four bytes, big endian, then so many bytes. A stream's end is trusted only between frames. */
import { ChannelBrokenError, TooLargeError } from './errors.ts'

export const frameHeaderBytes = 4

/** The header of a frame. Throws `TOO_LARGE` beyond `maxBytes`. */
export function frameHeader(length: number, maxBytes: number): Uint8Array {
  if (length > maxBytes) throw new TooLargeError(length, maxBytes)
  const header = new Uint8Array(frameHeaderBytes)
  new DataView(header.buffer).setUint32(0, length)
  return header
}

/** In front of a frame whose memory has room for it: its header, and short frames that go before it. */
export const frameRoomBytes = 1024
const roomy = new WeakSet<ArrayBufferLike>()

/** Memory for frames of up to `bytes`, with room in front. */
export function frameMemory(bytes: number): ArrayBuffer {
  return new ArrayBuffer(frameRoomBytes + bytes)
}

/** A frame in such memory, with the room in front. Its content is what was there before. */
export function frameIn(memory: ArrayBuffer, length: number): Uint8Array<ArrayBuffer> {
  roomy.add(memory)
  return new Uint8Array(memory, frameRoomBytes, length)
}

/**
 * The frame with its header, and with `before`, headers and frames, in front of that, as one piece of memory: TLS copies
 * what comes to it in several. `undefined` when the frame has no such room. Throws `TOO_LARGE`.
 */
export function frameBehind(
  before: readonly Uint8Array[],
  frame: Uint8Array,
  maxBytes: number,
): Uint8Array | undefined {
  const parts = [...before, frameHeader(frame.length, maxBytes)]
  let at = frameRoomBytes - parts.reduce((sum, { length }) => sum + length, 0)
  if (at < 0 || frame.byteOffset !== frameRoomBytes || !roomy.has(frame.buffer)) return undefined
  const whole = new Uint8Array(frame.buffer, at, frameRoomBytes - at + frame.length)
  at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** Cuts a stream of chunks, however they were split, back into frames. Holds one unfinished frame at most. */
export class FrameReader {
  readonly #maxBytes: number
  readonly #memory: (bytes: number) => Uint8Array
  readonly #header = new Uint8Array(frameHeaderBytes)
  #headerRead = 0
  #frame: Uint8Array | undefined
  #frameRead = 0

  /** `memory` is where a frame of so many bytes is put; default memory of its own. */
  constructor({
    maxBytes,
    memory = newMemory,
  }: { maxBytes: number; memory?: (bytes: number) => Uint8Array }) {
    this.#maxBytes = maxBytes
    this.#memory = memory
  }

  /**
   * The frames that `chunk` completes. A chunk that has its memory to itself, as those that a socket gives, is empty afterwards.
   * Throws `TOO_LARGE`, before memory is taken for the frame.
   */
  push(chunk: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = []
    let rest = chunk
    while (rest.length > 0) {
      rest = this.#frame === undefined ? this.#readHeader(rest) : this.#readFrame(this.#frame, rest)
      if (this.#frame !== undefined && this.#frameRead === this.#frame.length) {
        frames.push(this.#frame)
        this.#frame = undefined
      }
    }
    free(chunk)
    return frames
  }

  /** A frame has begun, and is not whole yet. */
  get isInside(): boolean {
    return this.#frame !== undefined || this.#headerRead > 0
  }

  /** Throws `CHANNEL_BROKEN` when the stream may not end here. */
  end(): void {
    if (this.isInside) {
      throw new ChannelBrokenError('the stream ended inside a frame')
    }
  }

  #readHeader(chunk: Uint8Array): Uint8Array {
    const part = chunk.subarray(0, frameHeaderBytes - this.#headerRead)
    this.#header.set(part, this.#headerRead)
    this.#headerRead += part.length
    if (this.#headerRead === frameHeaderBytes) {
      const length = new DataView(this.#header.buffer).getUint32(0)
      if (length > this.#maxBytes) throw new TooLargeError(length, this.#maxBytes)
      this.#frame = this.#memory(length)
      this.#frameRead = 0
      this.#headerRead = 0
    }
    return chunk.subarray(part.length)
  }

  #readFrame(frame: Uint8Array, chunk: Uint8Array): Uint8Array {
    const part = chunk.subarray(0, frame.length - this.#frameRead)
    frame.set(part, this.#frameRead)
    this.#frameRead += part.length
    return chunk.subarray(part.length)
  }
}

/** Not zeroed: nobody sees a frame before all of it was overwritten. */
function newMemory(bytes: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer)
}

/** Now: until the collector comes by, megabytes of chunks would have piled up, and each would be memory that is new to the kernel. */
function free({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}
