/**
 * A checksum of each block of a blob, taken while its bytes are proven, by which a part of it is told right from rotten without
 * hashing the whole. It is there against disks, not against people: whoever can write to the data directory can forge it.
 */
import { Fletcher } from './fletcher.ts'

/** Every block but the last. As small as the smallest piece, so that a piece is never checked by reading two. */
export const blockBytes = 256 * 1024
export const sumBytes = 4
const sizeBytes = 8
/** In the highest byte of the size. Rows of 0 hold other sums, of a version that is gone. */
const sumKind = 1
const kindShift = 56n

/** What the blob measures, and the sums of its blocks one after the other, four bytes each. */
export interface BlobSums {
  readonly size: number
  readonly sums: Uint8Array
}

/** Bytes go in, in order; sums come out. */
export class BlockSums {
  readonly #sums: number[] = []
  readonly #current = new Fletcher()
  #filled = 0

  update(chunk: Uint8Array): void {
    for (let rest = chunk; rest.length > 0; ) {
      const part = rest.subarray(0, blockBytes - this.#filled)
      this.#current.update(part)
      this.#filled += part.length
      rest = rest.subarray(part.length)
      if (this.#filled === blockBytes) this.#next()
    }
  }

  /** Of all that went in. */
  finish(): Uint8Array<ArrayBuffer> {
    if (this.#filled > 0) this.#next()
    const sums = new Uint8Array(this.#sums.length * sumBytes)
    const view = new DataView(sums.buffer)
    for (const [block, sum] of this.#sums.entries()) view.setUint32(block * sumBytes, sum)
    return sums
  }

  #next(): void {
    this.#sums.push(this.#current.finish())
    this.#filled = 0
  }
}

/** Compares the blocks of a blob that pass as a whole; of one that passes in part nothing is said. */
export class PassingBlocks {
  readonly #size: number
  readonly #sums: DataView
  readonly #current = new Fletcher()
  /** Where the first whole block begins. */
  readonly #start: number
  #position: number

  constructor({ size, sums }: BlobSums, start: number) {
    this.#size = size
    this.#sums = new DataView(sums.buffer, sums.byteOffset, sums.byteLength)
    this.#position = start
    this.#start = blockStart(start + blockBytes - 1)
  }

  /** The next bytes; false when a block that ends among them is not what it was. */
  areRight(chunk: Uint8Array): boolean {
    for (let rest = chunk; rest.length > 0; ) {
      const block = Math.floor(this.#position / blockBytes)
      const end = Math.min((block + 1) * blockBytes, this.#size)
      const part = rest.subarray(0, end - this.#position)
      rest = rest.subarray(part.length)
      const isWhole = this.#position >= this.#start
      this.#position += part.length
      if (!isWhole) continue
      this.#current.update(part)
      if (this.#position === end && this.#current.finish() !== this.#sums.getUint32(block * sumBytes))
        return false
    }
    return true
  }
}

/** The blocks that the bytes from `start` to `end` have a part of, but not all. */
export function partialBlocks(
  size: number,
  start: number,
  end: number,
): readonly { start: number; end: number }[] {
  const starts = new Set<number>()
  if (start % blockBytes > 0) starts.add(blockStart(start))
  if (end % blockBytes > 0 && end < size) starts.add(blockStart(end))
  return [...starts].map((first) => ({ start: first, end: Math.min(first + blockBytes, size) }))
}

function blockStart(position: number): number {
  return position - (position % blockBytes)
}

export function encodeSums({ size, sums }: BlobSums): Uint8Array {
  const row = new Uint8Array(sizeBytes + sums.length)
  new DataView(row.buffer).setBigUint64(0, BigInt(size) | (BigInt(sumKind) << kindShift))
  row.set(sums, sizeBytes)
  return row
}

/** `undefined` for what cannot have been written here. */
export function decodeSums(row: Uint8Array): BlobSums | undefined {
  if (row.length < sizeBytes || row[0] !== sumKind) return undefined
  const kindAndSize = new DataView(row.buffer, row.byteOffset, row.byteLength).getBigUint64(0)
  const size = Number(BigInt.asUintN(Number(kindShift), kindAndSize))
  const sums = row.subarray(sizeBytes)
  return sums.length === Math.ceil(size / blockBytes) * sumBytes ? { size, sums } : undefined
}
