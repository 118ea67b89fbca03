/** Byte ranges of downloads (RFC 9110, section 14) and of upload chunks (OCI distribution-spec, "Pushing a blob in chunks"). */
import { excerpt } from './digest.ts'
import { OciError } from './errors.ts'

/** Half-open, in bytes: `start` is the first byte, `end` the one after the last. */
export interface ByteRange {
  start: number
  end: number
}

/**
 * The part of a representation of `size` bytes that a Range header asks for; `undefined` means the whole:
 * a range unit or a form that this server does not know, or several ranges, may be ignored (RFC 9110, 14.2).
 * Throws `RANGE_INVALID` when no byte can be satisfied.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '')
  if (match === null) return undefined
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return undefined
  if (first === '') {
    const length = Math.min(Number(last), size)
    if (length > 0) return { start: size - length, end: size }
  } else {
    const start = Number(first)
    const end = last === '' ? size : Math.min(Number(last) + 1, size)
    if (last !== '' && Number(last) < start) return undefined
    if (start < size) return { start, end }
  }
  throw new OciError(
    'RANGE_INVALID',
    `range "${excerpt(header ?? '')}" lies outside of the ${size} bytes here`,
  )
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
