/** Blobs as they are read: whoever cannot prove the bytes by themselves never gets the last of them before they are. */
import type { Stats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Digest } from '../oci/oci.ts'
import { type BlobFiles, orMissing } from './blob-files.ts'
import { type BlobSums, blockBytes, blocksOf } from './block-sums.ts'
import { BlobRottenError } from './errors.ts'
import type { IngestPool } from './ingest-pool.ts'
import { readChunks } from './open-blob.ts'
import type { ReadBuffers } from './read-buffers.ts'
import type { SoundFiles } from './sound-files.ts'
import type { OpenBlob, OpenOptions } from './store.ts'
import type { SumTable } from './sum-table.ts'

export interface CheckedBlobsOptions {
  files: BlobFiles
  buffers: ReadBuffers
  pool: IngestPool
  sums: SumTable
  sound: SoundFiles
  /** Hashes the whole of it again; false when it was wrong and is in quarantine now, or is not here. */
  verify(digest: Digest): Promise<boolean>
}

interface BlobBeingRead {
  digest: Digest
  file: FileHandle
  stats: Stats
  known: BlobSums | undefined
}

/** Checked while they are in the page cache, and few enough that the end is not waited for. */
const strideBytes = 32 * blockBytes

export class CheckedBlobs {
  readonly #options: CheckedBlobsOptions
  /** Blobs that look wrong, until it is known. */
  readonly #suspects = new Map<Digest, Promise<boolean>>()

  constructor(options: CheckedBlobsOptions) {
    this.#options = options
  }

  async stat(digest: Digest): Promise<{ size: number } | undefined> {
    for (;;) {
      await this.#suspects.get(digest)
      const file = await this.#options.files.stat(digest)
      if (file === undefined) return undefined
      if (this.#fits(digest, file)) return { size: file.size }
      if (!(await this.#suspect(digest))) return undefined
    }
  }

  /** Whether it is here with the length that it had. Waits for nothing, and changes nothing. */
  async seems(digest: Digest): Promise<boolean> {
    const file = await this.#options.files.stat(digest)
    return file !== undefined && this.#fits(digest, file)
  }

  async open(digest: Digest, { receiverProves = false }: OpenOptions = {}): Promise<OpenBlob | undefined> {
    for (;;) {
      await this.#suspects.get(digest)
      const file = await orMissing(open(this.#options.files.blobPath(digest), 'r'))
      if (file === undefined) return undefined
      try {
        const stats = await file.stat()
        const isFit = this.#fits(digest, stats)
        if (isFit && (receiverProves || (await this.#isReadable(digest, file, stats))))
          return this.#opened(digest, file, stats, receiverProves)
      } catch (error) {
        await file.close()
        throw error
      }
      await file.close()
      if (!(await this.#suspect(digest))) return undefined
    }
  }

  /** Throws BlobRottenError unless all of it is what was proven. */
  async prove(digest: Digest): Promise<void> {
    await using blob = await this.open(digest)
    if (blob === undefined) throw new BlobRottenError(`${digest} is not here any more`)
    for await (const _ of blob.chunks(0, blob.size));
  }

  /** What is read at once anyway is checked before anything is promised: who asks for it gets another member's copy instead. */
  async #isReadable(digest: Digest, file: FileHandle, stats: Stats): Promise<boolean> {
    const { sound, sums } = this.#options
    if (stats.size > blockBytes || stats.size === 0 || sound.has(digest, stats)) return true
    const known = sums.find(digest)
    const isRight = await this.#isRight({ digest, file, stats, known }, 0, stats.size)
    if (isRight) sound.add(digest, stats)
    return isRight
  }

  #opened(digest: Digest, file: FileHandle, stats: Stats, receiverProves: boolean): OpenBlob {
    const { buffers, sound, sums } = this.#options
    const { size } = stats
    // Found now: they go with the blob when it is collected, and whoever has it open reads on.
    const known = receiverProves || sound.has(digest, stats) ? undefined : sums.find(digest)
    const chunks: OpenBlob['chunks'] = (start, end, options) => {
      const read = readChunks(file, buffers, start, Math.min(end, size), options)
      if (receiverProves || sound.has(digest, stats)) return read
      return this.#checked(read, { digest, file, stats, known }, start, Math.min(end, size))
    }
    return { size, chunks, [Symbol.asyncDispose]: () => file.close() }
  }

  async *#checked(
    read: AsyncIterable<Uint8Array>,
    blob: BlobBeingRead,
    start: number,
    end: number,
  ): AsyncGenerator<Uint8Array> {
    const { digest, stats } = blob
    let position = start
    let checked = start
    let isRight = true
    let checking: Promise<void> = Promise.resolve()
    const check = (to: number): void => {
      const from = checked
      checked = to
      checking = checking.then(async () => {
        isRight &&= await this.#isRight(blob, from, to)
      })
      // Its failure is thrown at the end, where it is waited for.
      checking.catch(() => undefined)
    }
    try {
      for await (const chunk of read) {
        position += chunk.length
        if (position >= end) {
          check(end)
          await checking
          if (isRight && start === 0 && end === stats.size) this.#options.sound.add(digest, stats)
        } else if (position - checked >= strideBytes) check(position - (position % blockBytes))
        if (!isRight) throw new BlobRottenError(`the disk gives other bytes for ${digest} than were stored`)
        yield chunk
      }
    } finally {
      // The thread reads from the file that whoever reads this closes next.
      await Promise.allSettled([checking])
    }
  }

  async #isRight(
    { digest, file, stats, known }: BlobBeingRead,
    start: number,
    end: number,
  ): Promise<boolean> {
    const { sums, sound, pool } = this.#options
    // Hashing all of it makes the sums for the next time.
    if (known === undefined) return sound.has(digest, stats) || (await this.#suspect(digest))
    const blocks = blocksOf(known, start, end)
    if (await pool.check({ fd: file.fd, ...blocks })) return true
    // Either rotted: what hashes right had sums that were wrong.
    return (await this.#suspect(digest)) && !isSame(known, sums.find(digest))
  }

  #fits(digest: Digest, file: Stats): boolean {
    const { sound, sums } = this.#options
    if (sound.has(digest, file)) return true
    const known = sums.find(digest)
    return known === undefined || known.size === file.size
  }

  #suspect(digest: Digest): Promise<boolean> {
    const known = this.#suspects.get(digest)
    if (known !== undefined) return known
    const verified = this.#options.verify(digest).finally(() => this.#suspects.delete(digest))
    this.#suspects.set(digest, verified)
    return verified
  }
}

function isSame(a: BlobSums, b: BlobSums | undefined): boolean {
  return b !== undefined && a.size === b.size && Buffer.compare(a.sums, b.sums) === 0
}
