/** Snappy's raw format (google/snappy, format_description.txt), as far as reading it goes. */

/** No block of LevelDB is larger than a row and some. */
const maxBytes = 64 * 2 ** 20

/** `undefined` for what is none. */
export function uncompress(bytes: Uint8Array): Buffer | undefined {
  let at = 0
  let length = 0
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++]
    if (byte === undefined || at > 5) return undefined
    length += (byte & 127) * scale
    if (byte < 128) break
  }
  if (length > maxBytes) return undefined
  const out = Buffer.alloc(length)
  let end = 0
  const number = (width: number): number => {
    let value = 0
    for (let n = 0; n < width; n++) value += (bytes[at++] ?? 0) * 256 ** n
    return value
  }
  while (at < bytes.length) {
    const tag = bytes[at++] ?? 0
    if ((tag & 3) === 0) {
      const short = tag >> 2
      const size = (short < 60 ? short : number(short - 59)) + 1
      if (at + size > bytes.length || end + size > length) return undefined
      out.set(bytes.subarray(at, at + size), end)
      at += size
      end += size
      continue
    }
    const [size, offset] =
      (tag & 3) === 1
        ? [((tag >> 2) & 7) + 4, ((tag >> 5) << 8) + number(1)]
        : [(tag >> 2) + 1, number((tag & 3) === 2 ? 2 : 4)]
    if (offset === 0 || offset > end || end + size > length) return undefined
    // It may copy what it has just written.
    for (let n = 0; n < size; n++, end++) out[end] = out[end - offset] ?? 0
  }
  return end === length ? out : undefined
}
