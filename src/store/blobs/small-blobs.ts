/** The small blobs that were read last, in memory: four trips through the thread pool cost twenty times what copying them does. */
import { markAsUntransferable } from 'node:worker_threads'
import type { Digest } from '../../oci/oci.ts'
import type { OpenBlob } from '../store.ts'

const largestBytes = 64 * 1024
/** What an entry costs beside its bytes. */
const overheadBytes = 512

export class SmallBlobs {
  readonly #maxBytes: number
  /** In order of last use. */
  readonly #blobs = new Map<Digest, Uint8Array>()
  #latest: Digest | undefined
  #bytes = 0

  constructor(maxBytes = 4 * 1024 * 1024) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  find(digest: Digest): OpenBlob | undefined {
    const bytes = this.#blobs.get(digest)
    if (bytes === undefined) return undefined
    if (digest !== this.#latest) {
      this.#blobs.delete(digest)
      this.#blobs.set(digest, bytes)
      this.#latest = digest
    }
    return {
      size: bytes.length,
      bytes,
      async *chunks(start, end, { signal } = {}) {
        signal?.throwIfAborted()
        if (start < Math.min(end, bytes.length)) yield bytes.subarray(start, end)
      },
      [Symbol.asyncDispose]: async () => undefined,
    }
  }

  forget(digest: Digest): void {
    const bytes = this.#blobs.get(digest)
    if (bytes === undefined) return
    this.#blobs.delete(digest)
    this.#bytes -= bytes.length + overheadBytes
  }

  /** Copies the whole of a blob that was proven and passes, where it is small. */
  async *passing(digest: Digest, size: number, read: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of read) {
      if (chunk.length === size && size <= largestBytes) this.#add(digest, Uint8Array.from(chunk))
      yield chunk
    }
  }

  #add(digest: Digest, bytes: Uint8Array<ArrayBuffer>): void {
    // A consumer that hands chunks to a worker must not carry them away.
    markAsUntransferable(bytes.buffer)
    this.forget(digest)
    this.#blobs.set(digest, bytes)
    this.#latest = digest
    this.#bytes += bytes.length + overheadBytes
    for (const oldest of this.#blobs.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.forget(oldest)
    }
  }
}
