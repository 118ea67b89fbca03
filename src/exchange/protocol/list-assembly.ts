/** Signed piece lists on their way in. */
import { MalformedError } from '../../wire/wire.ts'
import { listPackLimit } from './list-pack.ts'
import { type ListFrame, leastChunkBytes } from './raw-frames.ts'

export class ListAssembly {
  readonly #limit: number
  #bytes: Uint8Array | undefined
  #received = 0

  /** `size` is the blob's, as the peer told it. */
  constructor(size: number) {
    this.#limit = listPackLimit(size)
  }

  /** The whole list, once it is. Throws `MALFORMED`, before anything is allocated for a list that is too long. */
  add({ totalBytes, offset, bytes }: Omit<ListFrame, 'type' | 'id'>): Uint8Array | undefined {
    if (totalBytes > this.#limit || (this.#bytes?.length ?? totalBytes) !== totalBytes) {
      throw new MalformedError(`a piece list of ${totalBytes} bytes; at most ${this.#limit} are allowed`)
    }
    if (offset !== this.#received) {
      throw new MalformedError(`a piece list goes on at ${offset} instead of ${this.#received}`)
    }
    if (bytes.length < leastChunkBytes && offset + bytes.length < totalBytes) {
      throw new MalformedError(`${bytes.length} bytes of a piece list in one frame`)
    }
    this.#bytes ??= new Uint8Array(totalBytes)
    this.#bytes.set(bytes, offset)
    this.#received += bytes.length
    return this.#received === totalBytes ? this.#bytes : undefined
  }
}
