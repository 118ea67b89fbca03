/** The CRC-32 of Castagnoli's polynomial (RFC 3720, appendix B.4), which Node has not. */

const polynomial = 0x82f63b78
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ polynomial : sum >>> 1
  return sum
})

const first = 0xffffffff

function next(sum: number, byte: number): number {
  return (sum >>> 8) ^ (table[(sum ^ byte) & 255] ?? 0)
}

export function crc32c(bytes: Uint8Array): number {
  let sum = first
  // By index: an iterator takes ten times as long.
  for (let at = 0; at < bytes.length; at++) sum = next(sum, bytes[at] ?? 0)
  return (sum ^ first) >>> 0
}

/** As LevelDB stores it, since bytes that hold their own sum have sums that tell little (util/crc32c.h). */
export function maskedCrc32c(bytes: Uint8Array): number {
  return masked(crc32c(bytes))
}

function masked(sum: number): number {
  return (((sum >>> 15) | (sum << 17)) + 0xa282ead8) >>> 0
}

/** Where the bytes from `start` on are followed by their masked sum, the last of them being one of `lasts`: behind these. */
export function findSummed(
  bytes: Buffer,
  start: number,
  end: number,
  lasts: readonly number[],
): number | undefined {
  let sum = first
  for (let at = start; at + 5 <= end; at++) {
    const byte = bytes[at] ?? 0
    sum = next(sum, byte)
    if (lasts.includes(byte) && masked((sum ^ first) >>> 0) === bytes.readUInt32LE(at + 1)) return at + 1
  }
  return undefined
}
