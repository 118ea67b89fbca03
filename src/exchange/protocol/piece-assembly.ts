/** A piece or a list on its way in: its frames in order, kept as they came when they are large, and gathered when they are not. */
import { MalformedError } from '../../wire/wire.ts'
import { leastChunkBytes } from './raw-frames.ts'

/** A chunk below this costs more to keep than to copy. */
const smallChunkBytes = 32 * 1024

export class PieceAssembly {
  readonly length: number
  #chunks: Uint8Array[] = []
  /** Of the whole piece, once small chunks came. */
  #gathered: Uint8Array | undefined
  #received = 0

  constructor(length: number) {
    this.length = length
  }

  get received(): number {
    return this.#received
  }

  /** Takes the chunk's memory over. Throws `MALFORMED` when it is not the bytes that come next. */
  add(offset: number, chunk: Uint8Array): void {
    if (offset !== this.#received || offset + chunk.length > this.length) {
      throw new MalformedError(
        `${chunk.length} bytes at ${offset} of ${this.length}, of which ${this.#received} have come`,
      )
    }
    const isLast = offset + chunk.length === this.length
    if (chunk.length < leastChunkBytes && !isLast)
      throw new MalformedError(`${chunk.length} bytes in one frame`)
    if (this.#gathered === undefined && chunk.length < smallChunkBytes && !isLast) this.#gather()
    if (this.#gathered === undefined) this.#chunks.push(chunk)
    else this.#gathered.set(chunk, offset)
    this.#received += chunk.length
  }

  get complete(): boolean {
    return this.#received === this.length
  }

  /** Gives the memory away. */
  take(): Uint8Array[] {
    return this.#gathered === undefined ? this.#chunks : [this.#gathered]
  }

  #gather(): void {
    this.#gathered = new Uint8Array(this.length)
    let at = 0
    for (const chunk of this.#chunks) {
      this.#gathered.set(chunk, at)
      at += chunk.length
    }
    this.#chunks = []
  }
}
