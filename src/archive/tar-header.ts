/** Headers of tar files, as POSIX calls them pax and ustar: read from strangers, and written. */
import { excerpt } from '../oci/oci.ts'
import { ArchiveError } from './errors.ts'

export const blockBytes = 512

export interface TarHeader {
  name: string
  /** As in the header: '0' a file, '2' a symbolic link, '5' a directory, 'x' a pax header, … */
  type: string
  size: number
  /** Of a link. */
  target: string
}

const fields = {
  name: [0, 100],
  size: [124, 136],
  checksum: [148, 156],
  target: [157, 257],
  prefix: [345, 500],
} as const

/** `undefined` for the block of zeros that ends an archive. Throws ArchiveError. */
export function parseHeader(block: Uint8Array, where: string): TarHeader | undefined {
  const bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength)
  if (bytes.every((byte) => byte === 0)) return undefined
  const text = (field: keyof typeof fields): string => textOf(bytes.subarray(...fields[field]))
  if (readNumber(bytes.subarray(...fields.checksum)) !== checksum(bytes)) {
    throw new ArchiveError(`${where} is no tar header; is this a tar file, and whole?`)
  }
  const size = readNumber(bytes.subarray(...fields.size))
  if (size === undefined) throw new ArchiveError(`${where} has a size that is none`)
  const isUstar = bytes.toString('latin1', 257, 262) === 'ustar'
  const prefix = isUstar ? text('prefix') : ''
  const type = String.fromCharCode(bytes[156] ?? 0)
  return {
    name: prefix === '' ? text('name') : `${prefix}/${text('name')}`,
    type: type === '\0' || type === '7' ? '0' : type,
    size,
    target: text('target'),
  }
}

/** The blocks before a file's bytes; its bytes are then filled up to whole blocks. */
export function encodeHeader(name: string, size: number): Uint8Array {
  const isPlain = name.length <= fields.name[1] && size < maxOctal
  const extra = isPlain ? [] : [paxRecord('path', name), paxRecord('size', String(size))]
  const blocks: Buffer[] = []
  if (extra.length > 0) {
    const body = Buffer.from(extra.join(''))
    blocks.push(block('pax', body.length, 'x'), body, Buffer.alloc(paddingOf(body.length)))
  }
  blocks.push(block(name.slice(0, fields.name[1]), Math.min(size, maxOctal - 1), '0'))
  return Buffer.concat(blocks)
}

export function paddingOf(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes
}

/** The records of a pax header that say something about a file's name, length or kind. Throws ArchiveError. */
export function parsePax(bytes: Uint8Array, where: string): Map<string, string> {
  const found = new Map<string, string>()
  const text = Buffer.from(bytes)
  for (let at = 0; at < text.length; ) {
    const space = text.indexOf(' ', at)
    const digits = space < 0 ? '' : text.toString('latin1', at, space)
    const end = at + Number(digits)
    if (!/^[1-9]\d{0,9}$/.test(digits) || end > text.length || text[end - 1] !== newline) {
      throw new ArchiveError(`${where} is a pax header that makes no sense`)
    }
    const record = text.toString('utf8', space + 1, end - 1)
    const equals = record.indexOf('=')
    if (equals > 0) found.set(record.slice(0, equals), record.slice(equals + 1))
    at = end
  }
  return found
}

const newline = 0x0a
/** Eleven octal digits. */
const maxOctal = 8 ** 11

/** Octal digits, or, where these do not suffice, big-endian behind a first byte of 0x80. */
function readNumber(field: Buffer): number | undefined {
  if (field[0] === 0x80) {
    const value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0)
    return Number.isSafeInteger(value) ? value : undefined
  }
  const digits = textOf(field).trim()
  return /^[0-7]{0,12}$/.test(digits) ? Number.parseInt(digits || '0', 8) : undefined
}

function textOf(field: Buffer): string {
  const end = field.indexOf(0)
  return field.toString('utf8', 0, end < 0 ? field.length : end)
}

/** The sum of all bytes, with spaces in place of the sum. */
function checksum(header: Buffer): number {
  const [from, to] = fields.checksum
  return header.reduce((sum, byte, at) => sum + (at >= from && at < to ? 0x20 : byte), 0)
}

/** With fixed time, owner and mode: the same files make the same archive. */
function block(name: string, size: number, type: string): Buffer {
  const header = Buffer.alloc(blockBytes)
  header.write(name, 0, 'utf8')
  header.write('0000644\0', 100)
  header.write('0000000\0', 108)
  header.write('0000000\0', 116)
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  header.write('00000000000\0', 136)
  header.write(type, 156)
  header.write('ustar\u000000', 257)
  header.write(`${checksum(header).toString(8).padStart(6, '0')}\0 `, 148)
  return header
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = Buffer.byteLength(rest) + 1
  while (String(length).length + Buffer.byteLength(rest) !== length) length++
  return `${length}${rest}`
}

/** Refuses what could mean another file than it seems: names are keys of a table here, and become files nowhere. */
export function checkName(name: string): string {
  const parts = name
    .replace(/^(?:\.\/+)+/, '')
    .replace(/\/+$/, '')
    .split('/')
  const isWrong =
    name.startsWith('/') || name.includes('\0') || parts.some((part) => part === '..' || part === '')
  if (name.length > maxNameLength || (isWrong && !/^\.?\/?$/.test(name))) {
    throw new ArchiveError(
      `the archive has a file named "${excerpt(name)}", which leads out of it or nowhere`,
    )
  }
  return parts.join('/')
}

const maxNameLength = 512
