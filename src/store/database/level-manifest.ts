/**
 * Which tables LevelDB reads, and how long it takes each to be: its MANIFEST (db/version_edit.cc), a log (doc/log_format.md) of
 * what was added and removed. Other table files are left over, or just being written.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { orMissing } from '../files/blob-files.ts'
import { maskedCrc32c } from './crc32c.ts'
import { readVarint } from './table-file.ts'

export interface LiveTable {
  /** Its file's, without the ending. */
  name: string
  size: number
}

const blockBytes = 32 * 1024
const headerBytes = 7
/** Where a record lies in the blocks: all of it, or its first, middle and last part. */
const [full, first, middle, last] = [1, 2, 3, 4]
/** Of what an edit holds. */
const tags = { comparator: 1, compactPointer: 5, deletedFile: 6, newFile: 7 } as const
/** Each followed by one number: the logs', the next file's, the last sequence's. */
const numbers: readonly number[] = [2, 3, 4, 9]

/** `undefined` where it cannot be told: LevelDB will not open with that either. */
export async function readLiveTables(directory: string): Promise<LiveTable[] | undefined> {
  const current = await orMissing(readFile(join(directory, 'CURRENT'), 'utf8'))
  const manifest = current && (await orMissing(readFile(join(directory, current.trim()))))
  return manifest ? liveTables(manifest) : undefined
}

export function liveTables(manifest: Buffer): LiveTable[] | undefined {
  const sizes = new Map<number, number>()
  for (const record of readRecords(manifest))
    if (record === undefined || !applyEdit(record, sizes)) return undefined
  return [...sizes].map(([number, size]) => ({ name: String(number).padStart(6, '0'), size }))
}

/** The records, and `undefined` where one is not as it was written. What is not yet written to its end is no record. */
function* readRecords(log: Buffer): Generator<Buffer | undefined> {
  let parts: Buffer[] = []
  for (let at = 0; at + headerBytes <= log.length; ) {
    const roomBytes = blockBytes - (at % blockBytes)
    if (roomBytes < headerBytes) {
      at += roomBytes
      continue
    }
    const [sum, length, kind] = [log.readUInt32LE(at), log.readUInt16LE(at + 4), log[at + 6]]
    const end = at + headerBytes + length
    if (end > log.length) return
    if (headerBytes + length > roomBytes || sum !== maskedCrc32c(log.subarray(at + 6, end))) yield undefined
    if (kind === full || kind === first) parts = []
    else if (kind !== middle && kind !== last) yield undefined
    parts.push(log.subarray(at + headerBytes, end))
    if (kind === full || kind === last) yield Buffer.concat(parts)
    at = end
  }
}

/** False for what is none. */
function applyEdit(edit: Buffer, sizes: Map<number, number>): boolean {
  let at = 0
  const number = (): number | undefined => {
    const read = readVarint(edit, at)
    at = read?.end ?? edit.length
    return read?.value
  }
  const skipText = (): boolean => {
    const length = number()
    at += length ?? 0
    return length !== undefined && at <= edit.length
  }
  while (at < edit.length) {
    const tag = number() ?? 0
    if (numbers.includes(tag)) {
      if (number() === undefined) return false
    } else if (tag === tags.comparator) {
      if (!skipText()) return false
    } else if (tag === tags.compactPointer) {
      if (number() === undefined || !skipText()) return false
    } else if (tag === tags.deletedFile) {
      const [, file] = [number(), number()]
      if (file === undefined) return false
      sizes.delete(file)
    } else if (tag === tags.newFile) {
      const [, file, size] = [number(), number(), number()]
      if (file === undefined || size === undefined || !skipText() || !skipText()) return false
      sizes.set(file, size)
    } else return false
  }
  return true
}
