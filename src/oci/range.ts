/** Byte ranges of downloads (RFC 9110, section 14) and of upload chunks (OCI distribution-spec, "Pushing a blob in chunks"). */
import { excerpt } from './digest.ts'
import { OciError } from './errors.ts'

/** Half-open, in bytes: `start` is the first byte, `end` the one after the last. */
export interface ByteRange {
  start: number
  end: number
}

/** What is wanted of a representation of this size: ranges of which no two overlap, or all of it. */
export type RangesOf = (size: number) => readonly ByteRange[] | undefined

/** As many as podman asks for at once of a layer in zstd:chunked. */
export const maxRanges = 1024

/**
 * The parts of a representation of `size` bytes that a Range header asks for, in its order; `undefined` means the whole: a range
 * unit or a form that this server does not know, or more than `maxRanges`, may be ignored (RFC 9110, section 14.2). What lies beyond
 * the end is left out. No two overlap: where they do, all are merged and sorted, so that no header asks for more than there is. Those
 * that only touch stay apart, since podman counts the parts that it gets.
 * None where no byte can be satisfied, or where a range ends before it begins: the distribution-spec's suite wants that refused.
 */
export function satisfiableRanges(header: string | undefined, size: number): ByteRange[] | undefined {
  const list = /^bytes=([\d\-, \t]+)$/.exec(header?.trim() ?? '')?.[1]
  if (list === undefined) return undefined
  const items = list.split(',', maxRanges + 1)
  if (items.length > maxRanges) return undefined
  const ranges: ByteRange[] = []
  for (const item of items) {
    const range = parseItem(item.trim(), size)
    if (range === undefined) return undefined
    if (range === 'reversed') return []
    if (range !== 'beyond') ranges.push(range)
  }
  return apart(ranges)
}

/** Throws `RANGE_INVALID` where no byte can be satisfied. */
export function parseRanges(header: string | undefined, size: number): ByteRange[] | undefined {
  const ranges = satisfiableRanges(header, size)
  if (ranges?.length !== 0) return ranges
  throw new OciError('RANGE_INVALID', `range "${excerpt(header ?? '')}" names none of the ${size} bytes here`)
}

/** `undefined` for what is no range. */
function parseItem(item: string, size: number): ByteRange | 'beyond' | 'reversed' | undefined {
  // However many digits: who wants all to the end may name the largest number that it knows.
  const match = /^(\d*)-(\d*)$/.exec(item)
  const [, first = '', last = ''] = match ?? []
  if (first === '') {
    if (last === '') return undefined
    const length = Math.min(Number(last), size)
    return length > 0 ? { start: size - length, end: size } : 'beyond'
  }
  if (last !== '' && Number(last) < Number(first)) return 'reversed'
  const start = Number(first)
  return start < size ? { start, end: last === '' ? size : Math.min(Number(last) + 1, size) } : 'beyond'
}

function apart(ranges: ByteRange[]): ByteRange[] {
  const merged: ByteRange[] = []
  for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start)) {
    const before = merged.at(-1)
    if (before === undefined || start >= before.end) merged.push({ start, end })
    else before.end = Math.max(before.end, end)
  }
  return merged.length === ranges.length ? ranges : merged
}

/** The bytes that an upload chunk covers, from a Content-Range of the form `0-1023`. Throws `RANGE_INVALID`. */
export function parseContentRange(header: string): ByteRange {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(header.trim())
  const [, first = '', last = ''] = match ?? []
  const range = { start: Number(first), end: Number(last) + 1 }
  if (match !== null && range.end > range.start) return range
  throw new OciError(
    'RANGE_INVALID',
    `Content-Range "${excerpt(header)}" is not the range of a chunk; expected first-last in bytes with no unit, such as 0-1023`,
  )
}
