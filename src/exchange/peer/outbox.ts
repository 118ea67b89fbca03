/** What goes out on a connection: messages that wait, the frames of its source behind them, and how quickly the peer takes both. */
import { type Clock, Fifo } from '../../base/base.ts'

/** Pieces and lists on their way out. */
export interface FrameSource {
  /** Something is about to be written: what can go with it is sent now. */
  beforeWrite(): void
  /** The next frame that is ready; called again after `wake`. */
  next(): Uint8Array | undefined
  /** The frame's memory may be used again. */
  written(frame: Uint8Array): void
}

export interface Batch {
  /** What is written at once: messages first, since little waits for a piece and much for a word. */
  readonly parts: Uint8Array[]
  /** The last of them, when it is the source's. */
  readonly frame: Uint8Array | undefined
}

/** A peer that lets so many messages pile up does not read. */
export const maxWaiting = 1024
/** Of messages in one write. */
const batchBytes = 64 * 1024
/** Of the last frame in what the connection takes for a byte. */
const weight = 0.3
const leastMs = 0.1

export class Outbox {
  readonly #source: FrameSource
  readonly #clock: Clock
  readonly #messages = new Fifo<Uint8Array>()
  /** The frame that may still be in the memory that the source lent. */
  #lent: Uint8Array | undefined
  #writtenMs: number
  /** When the write that is under way was begun. */
  #sinceMs: number | undefined
  #msPerByte: number | undefined

  constructor({ source, clock }: { source: FrameSource; clock: Clock }) {
    this.#source = source
    this.#clock = clock
    this.#writtenMs = clock.now()
  }

  /** How many messages wait to be written. */
  get waiting(): number {
    return this.#messages.length
  }

  /** For how long nothing was written. */
  get silentMs(): number {
    return this.#clock.now() - this.#writtenMs
  }

  /** For how long the peer has taken nothing, although something is being written. */
  get blockedMs(): number {
    return this.#sinceMs === undefined ? 0 : this.#clock.now() - this.#sinceMs
  }

  /** At which the peer takes frames of late, once there were some. */
  get bytesPerMs(): number | undefined {
    return this.#msPerByte === undefined ? undefined : 1 / this.#msPerByte
  }

  push(message: Uint8Array): void {
    this.#messages.push(message)
  }

  /** What is to be written next, without the source's frames where none may go. */
  take({ frames }: { frames: boolean }): Batch {
    const frame = frames ? this.#source.next() : undefined
    if (frame !== undefined || this.waiting > 0) this.#source.beforeWrite()
    const parts: Uint8Array[] = []
    for (let bytes = 0; bytes < batchBytes; bytes += parts.at(-1)?.length ?? 0) {
      const message = this.#messages.shift()
      if (message === undefined) break
      parts.push(message)
    }
    if (frame !== undefined) parts.push(frame)
    return { parts, frame }
  }

  /** `send` resolves when what was sent before is out, whose memory may be used again. */
  async write({ parts, frame }: Batch, send: (parts: Uint8Array[]) => Promise<void>): Promise<void> {
    const sinceMs = this.#clock.now()
    this.#sinceMs = sinceMs
    await send(parts)
    this.#sinceMs = undefined
    this.#writtenMs = this.#clock.now()
    if (this.#lent !== undefined) {
      this.#measure(this.#lent.length, this.#writtenMs - sinceMs)
      this.#source.written(this.#lent)
    }
    this.#lent = frame
  }

  #measure(bytes: number, ms: number): void {
    const msPerByte = Math.max(ms, leastMs) / bytes
    this.#msPerByte = (this.#msPerByte ?? msPerByte) * (1 - weight) + msPerByte * weight
  }
}
