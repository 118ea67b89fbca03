/**
 * The file `shoal-records` of an archive: the signed records of what the archive holds, so that tags keep their author and
 * time. A first line that says the version, then one record on each line, in Base64.
 */
import { ArchiveError } from './errors.ts'

export const recordFileName = 'shoal-records'
const firstLine = 'shoal-records 1'
/** Of the file: far more than an archive has tags. */
export const maxRecordFileBytes = 256 * 1024 * 1024
/** Of a record, in Base64. */
const maxLineLength = 96 * 1024

export function encodeRecords(records: Iterable<Uint8Array>): string {
  const lines = [...records].map((record) => `${Buffer.from(record).toString('base64')}\n`)
  return `${firstLine}\n${lines.join('')}`
}

/** In order; only what they look like is checked, as the ledger that they go to checks the rest. Throws ArchiveError. */
export async function* decodeRecords(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isFirst = true
  for await (const line of linesOf(chunks)) {
    if (isFirst && line !== firstLine)
      throw new ArchiveError(`${recordFileName} does not begin with "${firstLine}"`)
    if (!isFirst) {
      const record = Buffer.from(line, 'base64')
      // Node reads what is none, and what is half of one, as if it were: only what it writes again is one.
      if (record.length === 0 || record.toString('base64') !== line)
        throw new ArchiveError(`${recordFileName} has a line that is not Base64`)
      yield record
    }
    isFirst = false
  }
  if (isFirst) throw new ArchiveError(`${recordFileName} is empty`)
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of chunks) {
    const lines = (rest + Buffer.from(chunk).toString('latin1')).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > maxLineLength)
      throw new ArchiveError(`${recordFileName} has a line longer than any record`)
    yield* lines
  }
  if (rest !== '') throw new ArchiveError(`${recordFileName} breaks off in the middle of a line`)
}
