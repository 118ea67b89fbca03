/** Which pieces are held: one bit for each, the first piece in the highest bit of the first byte. */
import { MalformedError } from '../../wire/wire.ts'

export class Bitfield {
  readonly count: number
  readonly #bytes: Uint8Array
  #held: number

  constructor(count: number) {
    this.count = count
    this.#bytes = new Uint8Array(Math.ceil(count / 8))
    this.#held = 0
  }

  static full(count: number): Bitfield {
    const field = new Bitfield(count)
    field.#bytes.fill(0xff)
    const spare = count % 8
    if (spare > 0) field.#bytes[field.#bytes.length - 1] = 0xff00 >> spare
    field.#held = count
    return field
  }

  /** Copies. Throws `MALFORMED` when the length is not the one for `count`, or a spare bit is set. */
  static parse(bytes: Uint8Array, count: number): Bitfield {
    const field = new Bitfield(count)
    if (bytes.length !== field.#bytes.length) {
      throw new MalformedError(
        `a bitfield of ${bytes.length} bytes for ${count} pieces; expected ${field.#bytes.length}`,
      )
    }
    const spare = bytes.length * 8 - count
    const last = bytes[bytes.length - 1] ?? 0
    if ((last & ((1 << spare) - 1)) !== 0)
      throw new MalformedError('a bitfield has bits beyond its last piece')
    field.#bytes.set(bytes)
    for (const byte of bytes) for (let rest = byte; rest !== 0; rest &= rest - 1) field.#held++
    return field
  }

  static copy(other: Bitfield): Bitfield {
    const field = new Bitfield(other.count)
    field.#bytes.set(other.#bytes)
    field.#held = other.#held
    return field
  }

  /** How many are held. */
  get held(): number {
    return this.#held
  }

  get complete(): boolean {
    return this.#held === this.count
  }

  has(piece: number): boolean {
    return ((this.#bytes[piece >> 3] ?? 0) & (0x80 >> (piece & 7))) !== 0
  }

  /** Those that are held, in order. */
  pieces(): number[] {
    const pieces: number[] = []
    for (let piece = 0; piece < this.count; piece++) if (this.has(piece)) pieces.push(piece)
    return pieces
  }

  /** Whether this piece or any behind it is held. */
  hasFrom(piece: number): boolean {
    for (let at = piece; at < this.count; at++) if (this.has(at)) return true
    return false
  }

  /** Whether all that the other holds is held here. */
  includes(other: Bitfield): boolean {
    return other.#bytes.every((byte, at) => (byte & ~(this.#bytes[at] ?? 0)) === 0)
  }

  /** Returns whether that was news. Throws RangeError for a piece that there is not. */
  add(piece: number): boolean {
    this.#check(piece)
    if (this.has(piece)) return false
    this.#bytes[piece >> 3] = (this.#bytes[piece >> 3] ?? 0) | (0x80 >> (piece & 7))
    this.#held++
    return true
  }

  /** Returns whether that was news. */
  delete(piece: number): boolean {
    this.#check(piece)
    if (!this.has(piece)) return false
    this.#bytes[piece >> 3] = (this.#bytes[piece >> 3] ?? 0) & ~(0x80 >> (piece & 7))
    this.#held--
    return true
  }

  /** A copy. */
  toBytes(): Uint8Array {
    return this.#bytes.slice()
  }

  #check(piece: number): void {
    if (!Number.isInteger(piece) || piece < 0 || piece >= this.count) {
      throw new RangeError(`piece ${piece} of ${this.count}`)
    }
  }
}
