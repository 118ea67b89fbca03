/** What is done with bytes that come in chunks: gathered up to a limit, copied, or sent on. */
import type { Writable } from 'node:stream'

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

/**
 * Writes them all and ends `to`, a chunk once the kernel has the one before: its memory may be used again then, and is not copied.
 * Throws what either failed with, or that `to` was closed, which it is then.
 */
export async function pour(chunks: AsyncIterable<Uint8Array>, to: Writable): Promise<void> {
  // One listener for all: a race for each chunk would keep a reaction for each.
  let failure: Error | undefined
  let giveUp: ((error: Error) => void) | undefined
  const fail = (error: Error): void => {
    failure ??= error
    giveUp?.(failure)
  }
  const close = (): void => fail(new Error('the other side closed the connection'))
  to.on('error', fail).once('close', close)
  const handOver = (give: (done: (error?: Error | null) => void) => void): Promise<void> =>
    new Promise((resolve, reject) => {
      giveUp = reject
      if (failure !== undefined) reject(failure)
      else give((error) => (error === null || error === undefined ? resolve() : reject(error)))
    })
  try {
    for await (const chunk of chunks) await handOver((done) => to.write(chunk, done))
    await handOver((done) => to.end(done))
  } catch (error) {
    to.destroy()
    throw error
  } finally {
    to.off('close', close)
  }
}
