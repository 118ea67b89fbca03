/**
 * The CRC-32 of each block of a blob, taken while its bytes are proven, by which a part of it is told right from rotten without
 * hashing the whole. It is there against disks, not against people: whoever can write to the data directory can forge it.
 */
import { crc32 } from 'node:zlib'

/** Every block but the last. As small as the smallest piece, so that a piece is never checked by reading two. */
export const blockBytes = 256 * 1024
const sumBytes = 4
const sizeBytes = 8

/** What the blob measures, and the sums of its blocks one after the other, four bytes each. */
export interface BlobSums {
  readonly size: number
  readonly sums: Uint8Array
}

/** Bytes go in, in order; sums come out. */
export class BlockSums {
  readonly #sums: number[] = []
  #current = 0
  #filled = 0

  update(chunk: Uint8Array): void {
    for (let rest = chunk; rest.length > 0; ) {
      const part = rest.subarray(0, blockBytes - this.#filled)
      this.#current = crc32(part, this.#current)
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
    this.#sums.push(this.#current)
    this.#current = 0
    this.#filled = 0
  }
}

/** The sums of the blocks that hold the bytes from `start` to `end`, and where those blocks lie. */
export function blocksOf(
  { size, sums }: BlobSums,
  start: number,
  end: number,
): { start: number; end: number; sums: Uint8Array } {
  const first = Math.floor(start / blockBytes)
  const last = Math.ceil(end / blockBytes)
  return {
    start: first * blockBytes,
    end: Math.min(last * blockBytes, size),
    sums: sums.slice(first * sumBytes, last * sumBytes),
  }
}

/** Whether `bytes` are blocks with these sums; only the last of them may be shorter than a block. */
export function isRight(bytes: Uint8Array, sums: Uint8Array): boolean {
  const { buffer, byteOffset, byteLength } = sums
  const view = new DataView(buffer, byteOffset, byteLength)
  for (let start = 0; start < bytes.length; start += blockBytes) {
    const at = (start / blockBytes) * sumBytes
    if (crc32(bytes.subarray(start, start + blockBytes)) !== view.getUint32(at)) return false
  }
  return true
}

export function encodeSums({ size, sums }: BlobSums): Uint8Array {
  const row = new Uint8Array(sizeBytes + sums.length)
  new DataView(row.buffer).setBigUint64(0, BigInt(size))
  row.set(sums, sizeBytes)
  return row
}

/** `undefined` for what cannot have been written here. */
export function decodeSums(row: Uint8Array): BlobSums | undefined {
  if (row.length < sizeBytes) return undefined
  const size = Number(new DataView(row.buffer, row.byteOffset, row.byteLength).getBigUint64(0))
  const sums = row.subarray(sizeBytes)
  return sums.length === Math.ceil(size / blockBytes) * sumBytes ? { size, sums } : undefined
}
