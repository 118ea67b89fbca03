/** How a file is read to be sent: two buffers, the next read under way while the consumer has the last. */
import type { FileHandle } from 'node:fs/promises'
import { BlobTruncatedError } from '../errors.ts'
import type { ReadBuffers } from './read-buffers.ts'

export interface ReadOptions {
  signal?: AbortSignal
  /** Called with each chunk as soon as it was read, most often while the consumer is busy with the one before. */
  onRead?: (chunk: Uint8Array) => void
}

/** Reads ahead of the consumer; a chunk's memory is used again after `next()`. */
export async function* readChunks(
  file: FileHandle,
  buffers: ReadBuffers,
  start: number,
  end: number,
  { signal, onRead }: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  buffers.enter()
  const taken: Uint8Array[] = []
  const read = async (buffer: Uint8Array, position: number): Promise<Uint8Array> => {
    const wanted = Math.min(buffer.length, end - position)
    const { bytesRead } = await file.read(buffer, 0, wanted, position)
    if (bytesRead === 0) throw new BlobTruncatedError(`the blob ends at ${position}, expected ${end} bytes`)
    const chunk = buffer.subarray(0, bytesRead)
    onRead?.(chunk)
    return chunk
  }
  const take = (position: number): Uint8Array => {
    const buffer = buffers.take(end - position)
    taken.push(buffer)
    return buffer
  }
  let reading: Promise<Uint8Array> | undefined
  try {
    if (start >= end) return
    let current = take(start)
    let spare: Uint8Array | undefined
    reading = read(current, start)
    for (let position = start; ; ) {
      signal?.throwIfAborted()
      const chunk = await reading
      position += chunk.length
      if (position >= end) {
        yield chunk
        return
      }
      const next = spare ?? take(position)
      reading = read(next, position)
      // Its failure is thrown when its turn comes; until then it must not count as unhandled.
      reading.catch(() => undefined)
      spare = current
      current = next
      yield chunk
    }
  } finally {
    // The kernel may still be writing into a buffer that the next reader would get.
    await Promise.allSettled([reading])
    for (const buffer of taken) buffers.give(buffer)
    buffers.leave()
  }
}
