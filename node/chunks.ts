/** What is done with bytes that come in chunks: gathered up to a limit, or copied. */

/** All of them; `undefined` when they are more than `maxBytes`, and no more of them is read. */
export async function readUpTo(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const kept: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > maxBytes) return undefined
    kept.push(chunk)
  }
  return Buffer.concat(kept)
}

/** For chunks whose memory the store uses again for the next one, while the reader may hold on to them for longer. */
export async function* copies(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield Uint8Array.from(chunk)
}
