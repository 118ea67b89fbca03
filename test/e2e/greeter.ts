/** A Linux program of a few hundred bytes that prints one text and ends: what the images of the tests run. */

const MACHINE = { amd64: 62, arm64: 183 }
const BASE = 0x400000
const HEADERS = 64 + 56

/** A static ELF executable. */
export function greeter(architecture: 'amd64' | 'arm64', text: string): Buffer {
  const message = Buffer.from(text)
  const code = architecture === 'amd64' ? amd64(message.length) : arm64(message.length)
  const size = BigInt(HEADERS + code.length + message.length)
  const elf = Buffer.alloc(HEADERS)
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  elf.writeUInt16LE(2, 16)
  elf.writeUInt16LE(MACHINE[architecture], 18)
  elf.writeUInt32LE(1, 20)
  elf.writeBigUInt64LE(BigInt(BASE + HEADERS), 24)
  elf.writeBigUInt64LE(64n, 32)
  elf.writeUInt16LE(64, 52)
  elf.writeUInt16LE(56, 54)
  elf.writeUInt16LE(1, 56)
  // One segment holds everything, readable and executable.
  elf.writeUInt32LE(1, 64)
  elf.writeUInt32LE(5, 68)
  elf.writeBigUInt64LE(BigInt(BASE), 80)
  elf.writeBigUInt64LE(BigInt(BASE), 88)
  elf.writeBigUInt64LE(size, 96)
  elf.writeBigUInt64LE(size, 104)
  elf.writeBigUInt64LE(0x1000n, 112)
  return Buffer.concat([elf, code, message])
}

/** write(1, message, length); exit(0) */
function amd64(length: number): Buffer {
  const code = Buffer.from(
    'b801000000' + 'bf01000000' + '488d3510000000' + 'ba00000000' + '0f05' + 'b83c000000' + '31ff' + '0f05',
    'hex',
  )
  code.writeUInt32LE(length, 18)
  return code
}

/** write(1, message, length); exit(0) */
function arm64(length: number): Buffer {
  const words = [
    0xd2800808, // mov x8, #64
    0xd2800020, // mov x0, #1
    0x100000c1, // adr x1, message
    0xd2800002 | (length << 5), // mov x2, #length
    0xd4000001, // svc #0
    0xd2800ba8, // mov x8, #93
    0xd2800000, // mov x0, #0
    0xd4000001, // svc #0
  ]
  const code = Buffer.alloc(words.length * 4)
  for (const [index, word] of words.entries()) code.writeUInt32LE(word >>> 0, index * 4)
  return code
}
