/** Temporary folders, and tar files made block by block, right and wrong. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeHeader } from '../../src/archive/tar-header.ts'

export async function inScratch(work: (at: (name: string) => string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-archive-'))
  try {
    await work((name) => join(folder, name))
  } finally {
    await rm(folder, { recursive: true })
  }
}

export interface TarEntry {
  name: string
  bytes?: string | Uint8Array
  type?: string
  target?: string
  /** What the header says instead of the truth. */
  size?: number
}

/** A header with the given fields, its checksum right. */
export function headerOf({ name, type = '0', target = '', size = 0 }: TarEntry): Buffer {
  const header = Buffer.from(encodeHeader('x', 0))
  header.fill(0, 0, 100)
  header.write(name.slice(0, 100), 0)
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  header.write(type, 156)
  header.write(target, 157)
  return withChecksum(header)
}

export function withChecksum(header: Buffer): Buffer {
  header.fill(0x20, 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}

export function tarOf(entries: TarEntry[], { ends = true }: { ends?: boolean } = {}): Buffer {
  const blocks = entries.flatMap((entry) => {
    const bytes = Buffer.from(entry.bytes ?? '')
    return [
      headerOf({ ...entry, size: entry.size ?? bytes.length }),
      bytes,
      Buffer.alloc((512 - (bytes.length % 512)) % 512),
    ]
  })
  return Buffer.concat([...blocks, ...(ends ? [Buffer.alloc(1024)] : [])])
}

export async function writeTar(path: string, entries: TarEntry[]): Promise<string> {
  await writeFile(path, tarOf(entries))
  return path
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(Uint8Array.from(chunk))
  return Buffer.concat(parts)
}
