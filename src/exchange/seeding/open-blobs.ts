/** Blobs of the store that are being served, kept open between one piece and the next. */
import type { Digest } from '../../oci/oci.ts'
import type { Blobs, OpenBlob } from '../../store/store.ts'

interface Entry {
  readonly opening: Promise<OpenBlob | undefined>
  users: number
}

export class OpenBlobs implements AsyncDisposable {
  readonly #blobs: Pick<Blobs, 'open'>
  /** In the order of their last use. */
  readonly #kept = new Map<Digest, Entry>()
  readonly #closing = new Set<Promise<void>>()
  readonly #most: number

  /** Keeps up to `most` open that nobody reads just now. */
  constructor(blobs: Pick<Blobs, 'open'>, { most }: { most: number }) {
    this.#blobs = blobs
    this.#most = most
  }

  /** Ends without a chunk, and returns false, when the blob is not here. */
  async *chunks(digest: Digest, start: number, end: number): AsyncGenerator<Uint8Array, boolean, undefined> {
    // Downloaders hash each piece, and complain.
    const opening = (): Promise<OpenBlob | undefined> => this.#blobs.open(digest, { receiverProves: true })
    const entry = this.#kept.get(digest) ?? { opening: opening(), users: 0 }
    this.#kept.delete(digest)
    this.#kept.set(digest, entry)
    entry.users++
    try {
      const blob = await entry.opening
      if (blob !== undefined) yield* blob.chunks(start, end)
      else if (this.#kept.get(digest) === entry) this.#kept.delete(digest)
      return blob !== undefined
    } catch (error) {
      // What cannot be read is looked up again the next time.
      if (this.#kept.get(digest) === entry) this.#kept.delete(digest)
      throw error
    } finally {
      entry.users--
      if (entry.users === 0 && this.#kept.get(digest) !== entry) this.#close(entry)
      this.#trim()
    }
  }

  /** Closes it as soon as nobody reads it. */
  forget(digest: Digest): void {
    const entry = this.#kept.get(digest)
    if (entry === undefined) return
    this.#kept.delete(digest)
    if (entry.users === 0) this.#close(entry)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const digest of [...this.#kept.keys()]) this.forget(digest)
    while (this.#closing.size > 0) await Promise.all(this.#closing)
  }

  #trim(): void {
    let idle = 0
    for (const { users } of this.#kept.values()) if (users === 0) idle++
    for (const [digest, { users }] of this.#kept) {
      if (idle <= this.#most) return
      if (users > 0) continue
      this.forget(digest)
      idle--
    }
  }

  #close({ opening }: Entry): void {
    const closed = (async () => {
      // One that could not be opened has been thrown to whoever wanted to read it.
      const [blob] = await Promise.allSettled([opening])
      if (blob.status === 'fulfilled') await blob.value?.[Symbol.asyncDispose]()
    })()
    this.#closing.add(closed)
    void closed.finally(() => this.#closing.delete(closed))
  }
}
