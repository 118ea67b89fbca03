/** Writes tar archives whose bytes depend on nothing but their entries. */

export interface TarEntry {
  path: string
  bytes: Uint8Array
  mode?: number
}

const BLOCK = 512

/** A ustar archive of plain files, root's, dated 1970; paths are at most 100 bytes long. */
export function tar(entries: TarEntry[]): Buffer {
  const parts: Uint8Array[] = []
  for (const entry of entries) {
    parts.push(header(entry), entry.bytes)
    parts.push(Buffer.alloc((BLOCK - (entry.bytes.length % BLOCK)) % BLOCK))
  }
  parts.push(Buffer.alloc(2 * BLOCK))
  return Buffer.concat(parts)
}

function header({ path, bytes, mode = 0o644 }: TarEntry): Buffer {
  if (path.length > 100) throw new Error(`the path is longer than 100 bytes: ${path}`)
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, '0')}\0`
  block.write(path, 0)
  block.write(octal(mode, 8), 100)
  block.write(octal(0, 8), 108)
  block.write(octal(0, 8), 116)
  block.write(octal(bytes.length, 12), 124)
  block.write(octal(0, 12), 136)
  block.write(' '.repeat(8), 148)
  block.write('0', 156)
  block.write('ustar\x0000', 257)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${octal(sum, 7)} `, 148)
  return block
}
