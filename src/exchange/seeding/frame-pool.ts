/** Memory for data frames, used again: new memory of this size costs the kernel more than copying a piece into it. */
import { maxFrameBytes } from '../protocol/raw-frames.ts'

export class FramePool {
  readonly #free: ArrayBuffer[] = []
  readonly #most: number

  /** Keeps up to `most` frames of `maxFrameBytes` for use. */
  constructor({ most }: { most: number }) {
    this.#most = most
  }

  /** Its content is what was there before. */
  take(bytes: number): Uint8Array {
    return new Uint8Array(this.#free.pop() ?? new ArrayBuffer(maxFrameBytes), 0, bytes)
  }

  /** Takes back what `take` gave. Nobody may look at it any more. */
  give({ buffer }: Uint8Array): void {
    if (buffer instanceof ArrayBuffer && this.#free.length < this.#most) this.#free.push(buffer)
  }
}
