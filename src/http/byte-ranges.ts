/** What of a blob an answer carries: all of it, one range, or several as `multipart/byteranges` (RFC 9110, section 14.6). */
import { randomUUID } from 'node:crypto'
import type { ByteRange } from '../oci/oci.ts'

export interface BodyPlan {
  readonly status: 200 | 206
  readonly headers: Record<string, string | number>
  /** One after the other; `before` is sent ahead of a range's bytes. */
  readonly parts: readonly (ByteRange & { before: string })[]
  /** Sent after the last. */
  readonly after: string
  /** How much of it is the blob's. */
  readonly blobBytes: number
}

/** `ranges` are within `size`, and `type` is that of what they are of. */
export function planBody(ranges: readonly ByteRange[] | undefined, size: number, type: string): BodyPlan {
  const [first, second] = ranges ?? []
  if (ranges === undefined || first === undefined)
    return single(200, { start: 0, end: size }, { 'Content-Type': type })
  if (second === undefined) {
    const headers = { 'Content-Type': type, 'Content-Range': contentRange(first, size) }
    return single(206, first, headers)
  }
  // Nobody can have a blob made in which this stands: the parts of an answer cannot be forged.
  const boundary = randomUUID()
  const parts = ranges.map((range) => {
    const head = `Content-Type: ${type}\r\nContent-Range: ${contentRange(range, size)}`
    return { ...range, before: `\r\n--${boundary}\r\n${head}\r\n\r\n` }
  })
  const after = `\r\n--${boundary}--\r\n`
  const blobBytes = ranges.reduce((sum, { start, end }) => sum + end - start, 0)
  const length = parts.reduce((sum, { before }) => sum + before.length, blobBytes + after.length)
  const headers = {
    'Content-Type': `multipart/byteranges; boundary=${boundary}`,
    'Content-Length': length,
  }
  return { status: 206, headers, parts, after, blobBytes }
}

function single(status: 200 | 206, range: ByteRange, headers: Record<string, string>): BodyPlan {
  const blobBytes = range.end - range.start
  return {
    status,
    headers: { ...headers, 'Content-Length': blobBytes },
    parts: [{ ...range, before: '' }],
    after: '',
    blobBytes,
  }
}

function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end - 1}/${size}`
}
