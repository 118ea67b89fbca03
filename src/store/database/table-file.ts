/**
 * LevelDB's table files (doc/table_format.md) as far as it takes to tell which of their blocks a disk changed, and to have
 * LevelDB pass over these. It reads without its checksums: of a changed block it gives wrong rows, or refuses every read that
 * needs it, and every write once a compaction has met it.
 */
import { findSummed, maskedCrc32c } from './crc32c.ts'
import { uncompress } from './snappy.ts'

interface Handle {
  offset: number
  size: number
}

interface Entry {
  key: Buffer
  value: Buffer
}

export interface TableCheck {
  /** Blocks of rows that are not as they were written. */
  damaged: number
  /** Bytes of these. */
  bytes: number
  /** The file with which LevelDB finds all others; `undefined` when nothing is damaged. */
  mended: Buffer | undefined
}

const footerBytes = 48
const magic = 0xdb4775248b80fb57n
/** After each block: how it is compressed, and a sum of both. */
const trailerBytes = 5
/** How it is compressed: not, or by Snappy. */
const [stored, compressed] = [0, 1]

/** `size` is where the file ends for LevelDB. It may be shorter than that now, or longer after it was cut. */
export function checkTable(file: Buffer, size: number): TableCheck {
  const own = file.subarray(0, size)
  const footer = own.length < size ? undefined : readFooter(own)
  const index = footer && readEntries(file, footer.index)
  // Nobody knows where its rows are, unless all else tells it.
  if (footer === undefined || index === undefined) {
    // In front of a filter that was put behind an earlier cut lie more than blocks of rows.
    const isFirst = footer !== undefined && footer.metaindex.offset < size
    const found = isFirst ? findIndex(file, footer.metaindex) : undefined
    const mended = withBlocks(own, size, found ?? [], found && footer?.metaindex)
    return found === undefined ? { damaged: 1, bytes: own.length, mended } : { damaged: 0, bytes: 0, mended }
  }
  const sound: Entry[] = []
  let bytes = 0
  for (const entry of index) {
    const handle = readHandle(entry.value, 0)
    if (handle !== undefined && isSound(file, handle)) sound.push(entry)
    else bytes += handle?.size ?? 0
  }
  const damaged = index.length - sound.length
  const isFilterSound = checkFilter(file, footer.metaindex)
  if (damaged === 0 && isFilterSound) return { damaged: 0, bytes: 0, mended: undefined }
  // One that was put behind an earlier cut goes with it.
  const isKept = isFilterSound && footer.metaindex.offset < size
  return { damaged, bytes, mended: withBlocks(own, size, sound, isKept ? footer.metaindex : undefined) }
}

/** The file so that all of it is found without a MANIFEST, with what is damaged cut out; `undefined` where it is so already. */
export function standalone(file: Buffer): Buffer | undefined {
  const end = Buffer.alloc(8)
  end.writeBigUInt64LE(magic)
  // One that was cut before goes on behind its footer.
  const at = file.lastIndexOf(end)
  const size = at < 0 ? file.length : at + end.length
  const { mended } = checkTable(file, size)
  const table = mended ?? file
  const footerEnd = Math.max(size, footerBytes)
  if (table.length === footerEnd) return mended
  return Buffer.concat([table, table.subarray(footerEnd - footerBytes, footerEnd)])
}

/**
 * The index made anew from the blocks themselves, which lie one behind the other in front of the filter; `undefined` where one
 * of them, or what is behind them, is not as it was written.
 */
function findIndex(file: Buffer, metaindex: Handle): Entry[] | undefined {
  const behind = readEntries(file, metaindex)?.map(({ value }) => readHandle(value, 0)?.offset ?? 0)
  if (behind === undefined) return undefined
  const end = Math.min(metaindex.offset, ...behind)
  const index: Entry[] = []
  for (let at = 0; at < end; ) {
    const sumAt = findSummed(file, at, end, [stored, compressed])
    if (sumAt === undefined) return undefined
    const handle = { offset: at, size: sumAt - 1 - at }
    const last = readEntries(file, handle)?.at(-1)
    if (last === undefined) return undefined
    index.push({ key: last.key, value: writeHandle(handle) })
    at = sumAt + trailerBytes - 1
  }
  return index
}

/** What a changed filter hides is there all the same. */
function checkFilter(file: Buffer, metaindex: Handle): boolean {
  const entries = readEntries(file, metaindex)
  return (
    entries?.every(({ value }) => {
      const handle = readHandle(value, 0)
      return handle !== undefined && isSound(file, handle)
    }) ?? false
  )
}

/** The file with another index. LevelDB looks for the footer where it has always been, so what that leads to comes behind it. */
function withBlocks(own: Buffer, size: number, index: Entry[], metaindex: Handle | undefined): Buffer {
  const table = Buffer.alloc(Math.max(size, footerBytes))
  const added: Buffer[] = []
  let end = table.length
  const add = (entries: Entry[]): Handle => {
    const block = writeBlock(entries)
    const handle = { offset: end, size: block.length - trailerBytes }
    added.push(block)
    end += block.length
    return handle
  }
  const indexAt = add(index)
  const metaindexAt = metaindex ?? add([])
  own.copy(table)
  const footer = table.subarray(-footerBytes).fill(0)
  Buffer.concat([writeHandle(metaindexAt), writeHandle(indexAt)]).copy(footer)
  footer.writeBigUInt64LE(magic, footerBytes - 8)
  return Buffer.concat([table, ...added])
}

function readFooter(own: Buffer): { metaindex: Handle; index: Handle } | undefined {
  if (own.length < footerBytes || own.readBigUInt64LE(own.length - 8) !== magic) return undefined
  const footer = own.subarray(own.length - footerBytes)
  const metaindex = readHandle(footer, 0)
  const index = metaindex && readHandle(footer, metaindex.end)
  return index && { metaindex, index }
}

function readHandle(bytes: Buffer, start: number): (Handle & { end: number }) | undefined {
  const offset = readVarint(bytes, start)
  const size = offset && readVarint(bytes, offset.end)
  return size && { offset: offset.value, size: size.value, end: size.end }
}

/** Whether a block is what was written. */
function isSound(file: Buffer, { offset, size }: Handle): boolean {
  const end = offset + size
  if (end + trailerBytes > file.length) return false
  return file.readUInt32LE(end + 1) === maskedCrc32c(file.subarray(offset, end + 1))
}

/** The content of a block, or `undefined` when it is not what was written. */
function readBlock(file: Buffer, handle: Handle): Buffer | undefined {
  if (!isSound(file, handle)) return undefined
  const end = handle.offset + handle.size
  const content = file.subarray(handle.offset, end)
  return file[end] === stored ? content : uncompress(content)
}

function readEntries(file: Buffer, handle: Handle): Entry[] | undefined {
  const block = readBlock(file, handle)
  if (block === undefined || block.length < 4) return undefined
  const end = block.length - 4 * (1 + block.readUInt32LE(block.length - 4))
  const entries: Entry[] = []
  let last: Buffer = Buffer.alloc(0)
  for (let at = 0; at < end; ) {
    const shared = readVarint(block, at)
    const rest = shared && readVarint(block, shared.end)
    const length = rest && readVarint(block, rest.end)
    if (shared === undefined || rest === undefined || length === undefined) return undefined
    const from = length.end + rest.value
    last = Buffer.concat([last.subarray(0, shared.value), block.subarray(length.end, from)])
    at = from + length.value
    entries.push({ key: last, value: block.subarray(from, at) })
  }
  return entries
}

/** Uncompressed, each key in full. */
function writeBlock(entries: Entry[]): Buffer {
  const parts: Buffer[] = []
  const restarts: number[] = entries.length === 0 ? [0] : []
  let length = 0
  for (const { key, value } of entries) {
    restarts.push(length)
    const entry = Buffer.concat([
      Buffer.from([0]),
      writeVarint(key.length),
      writeVarint(value.length),
      key,
      value,
    ])
    parts.push(entry)
    length += entry.length
  }
  const tail = Buffer.alloc(4 * (restarts.length + 1) + 1)
  for (const [at, restart] of restarts.entries()) tail.writeUInt32LE(restart, 4 * at)
  tail.writeUInt32LE(restarts.length, 4 * restarts.length)
  const summed = Buffer.concat([...parts, tail])
  const sum = Buffer.alloc(4)
  sum.writeUInt32LE(maskedCrc32c(summed))
  return Buffer.concat([summed, sum])
}

const writeHandle = ({ offset, size }: Handle): Buffer =>
  Buffer.concat([writeVarint(offset), writeVarint(size)])

export function readVarint(bytes: Buffer, start: number): { value: number; end: number } | undefined {
  let value = 0
  for (let at = start, scale = 1; at < bytes.length && at < start + 7; at++, scale *= 128) {
    const byte = bytes[at] ?? 0
    value += (byte & 127) * scale
    if (byte < 128) return { value, end: at + 1 }
  }
  return undefined
}

function writeVarint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return Buffer.from([...bytes, rest])
}
