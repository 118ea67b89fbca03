/** Two channels joined in memory, with the backpressure of a real one and a count of what moved. */
import type { BatchChannel } from './channel.ts'
import { ChannelBrokenError } from './errors.ts'
import { frameHeader, frameHeaderBytes } from './frame.ts'

export interface ChannelPair {
  a: BatchChannel
  b: BatchChannel
  /** Bytes sent so far, headers included. */
  sent: { a: number; b: number }
}

interface PairOptions {
  /** Default 1 MiB. */
  maxFrameBytes?: number
  /** A sender waits while so many bytes are on their way. Default 256 KiB. */
  windowBytes?: number
}

export function channelPair(options: PairOptions = {}): ChannelPair {
  const { maxFrameBytes = 1024 * 1024, windowBytes = 256 * 1024 } = options
  const toB = new Pipe(windowBytes)
  const toA = new Pipe(windowBytes)
  return {
    a: end(toB, toA, maxFrameBytes),
    b: end(toA, toB, maxFrameBytes),
    sent: {
      get a() {
        return toB.bytes
      },
      get b() {
        return toA.bytes
      },
    },
  }
}

function end(out: Pipe, back: Pipe, maxFrameBytes: number): BatchChannel {
  const pair: BatchChannel = {
    async send(frame, { signal } = {}) {
      frameHeader(frame.length, maxFrameBytes)
      out.push(frame)
      await out.wait(() => out.hasRoom, signal)
    },
    async receive({ signal } = {}) {
      await back.wait(() => back.hasNews, signal)
      return back.shift()
    },
    async sendAll(frames, { signal } = {}) {
      for (const frame of frames) frameHeader(frame.length, maxFrameBytes)
      for (const frame of frames) out.push(frame)
      await out.wait(() => out.hasRoom, signal)
    },
    async receiveAll(options) {
      const first = await pair.receive(options)
      return first === undefined ? undefined : [first, ...back.shiftAll()]
    },
    close: async () => out.finish(),
    abort(reason) {
      out.fail(reason)
      back.fail(reason)
    },
  }
  return pair
}

/** One direction. */
class Pipe {
  bytes = 0
  readonly #windowBytes: number
  readonly #frames: Uint8Array[] = []
  #waiting = 0
  #finished = false
  #failure: Error | undefined
  #wake = Promise.withResolvers<void>()

  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes
  }

  get hasRoom(): boolean {
    return this.#waiting < this.#windowBytes
  }

  get hasNews(): boolean {
    return this.#frames.length > 0 || this.#finished
  }

  push(frame: Uint8Array): void {
    this.#check()
    if (this.#finished) throw new ChannelBrokenError('this side of the channel was closed')
    this.bytes += frame.length + frameHeaderBytes
    this.#waiting += frame.length
    this.#frames.push(frame)
    this.#signal()
  }

  shift(): Uint8Array | undefined {
    const frame = this.#frames.shift()
    this.#waiting -= frame?.length ?? 0
    this.#signal()
    return frame
  }

  shiftAll(): Uint8Array[] {
    const frames = this.#frames.splice(0)
    this.#waiting = 0
    this.#signal()
    return frames
  }

  finish(): void {
    this.#finished = true
    this.#signal()
  }

  fail(reason: Error): void {
    this.#failure ??= reason
    this.#signal()
  }

  async wait(until: () => boolean, signal: AbortSignal | undefined): Promise<void> {
    const aborted = Promise.withResolvers<never>()
    const abort = (): void => aborted.reject(signal?.reason)
    signal?.throwIfAborted()
    signal?.addEventListener('abort', abort, { once: true })
    try {
      this.#check()
      while (!until()) {
        await Promise.race([this.#wake.promise, aborted.promise])
        this.#check()
      }
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  #check(): void {
    if (this.#failure !== undefined) {
      throw new ChannelBrokenError('the channel was reset', { cause: this.#failure })
    }
  }

  #signal(): void {
    const { resolve } = this.#wake
    this.#wake = Promise.withResolvers()
    resolve()
  }
}
