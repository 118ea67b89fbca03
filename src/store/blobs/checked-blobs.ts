/** Blobs as they are read: whoever cannot prove the bytes by themselves never gets the last of them before they are. */
import { type Stats, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Digest } from '../../oci/oci.ts'
import { BlobRottenError, BlobTruncatedError } from '../errors.ts'
import { type BlobFiles, orMissing } from '../files/blob-files.ts'
import { type BlobSums, blockBytes, PassingBlocks, partialBlocks, sumBytes } from '../files/block-sums.ts'
import { readChunks } from '../files/open-blob.ts'
import type { ReadBuffers } from '../files/read-buffers.ts'
import type { OpenBlob, OpenOptions } from '../store.ts'
import { SmallBlobs } from './small-blobs.ts'
import type { SoundFiles } from './sound-files.ts'
import type { SumTable } from './sum-table.ts'
import type { Unreadable } from './unreadable.ts'

export interface CheckedBlobsOptions {
  files: BlobFiles
  buffers: ReadBuffers
  sums: Pick<SumTable, 'find'>
  sound: SoundFiles
  /** Hashes the whole of it again; false when it was wrong and is in quarantine now, or is not here. */
  verify(digest: Digest): Promise<boolean>
  unreadable: Pick<Unreadable, 'note'>
}

interface BlobBeingRead {
  digest: Digest
  file: FileHandle
  stats: Stats
  known: BlobSums | undefined
}

interface Stretch {
  start: number
  end: number
}

export class CheckedBlobs {
  readonly #options: CheckedBlobsOptions
  /** Blobs that look wrong, until it is known. */
  readonly #suspects = new Map<Digest, Promise<boolean>>()
  readonly #small = new SmallBlobs()

  constructor(options: CheckedBlobsOptions) {
    this.#options = options
  }

  async stat(digest: Digest): Promise<{ size: number } | undefined> {
    const small = this.#suspects.has(digest) ? undefined : this.#inMemory(digest)
    if (small !== undefined) return { size: small.size }
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
    const small = this.#suspects.has(digest) ? undefined : this.#inMemory(digest)
    if (small !== undefined) return small
    for (;;) {
      await this.#suspects.get(digest)
      const file = await orMissing(open(this.#options.files.blobPath(digest), 'r'))
      if (file === undefined) return undefined
      try {
        const stats = await file.stat()
        const isFit = this.#fits(digest, stats)
        if (isFit && (receiverProves || (await this.#isReadable(digest, file, stats)))) {
          const opened = await this.#opened(digest, file, stats, receiverProves)
          if (opened !== undefined) return opened
          await file.close()
          continue
        }
      } catch (error) {
        await file.close()
        this.#options.unreadable.note(digest, error)
        throw error
      }
      await file.close()
      if (!(await this.#suspect(digest))) return undefined
    }
  }

  /** Only while its file is there, and is the one that was proven. */
  #inMemory(digest: Digest): OpenBlob | undefined {
    const small = this.#small.find(digest)
    if (small === undefined) return undefined
    const { files, sound } = this.#options
    // Read a moment ago, the file's facts are in the kernel's memory: asking the thread pool for them takes ten times as long.
    const file = statSync(files.blobPath(digest), { throwIfNoEntry: false })
    if (file !== undefined && sound.has(digest, file)) return small
    this.#small.forget(digest)
    return undefined
  }

  /**
   * What was made of whole blocks that were read in another way than through here, if they were what is stored: `make` tells
   * their sums. Throws BlobRottenError.
   */
  async made<T>(
    digest: Digest,
    part: Stretch,
    make: () => Promise<{ value: T; sums: Uint8Array }>,
  ): Promise<T> {
    const { sums } = this.#options
    const known = sums.find(digest) ?? (await this.#proven(digest))
    const first = await make()
    if (hasSums(known, part, first.sums)) return first.value
    // Either rotted, the bytes or their sums.
    const isRight = await this.#suspect(digest)
    const second = isRight ? await make() : undefined
    if (second !== undefined && hasSums(sums.find(digest), part, second.sums)) return second.value
    throw new BlobRottenError(`the disk gives other bytes for ${digest} than were stored`)
  }

  /** The sums of a blob all of which was read just now. Throws BlobRottenError unless it is what was proven. */
  async #proven(digest: Digest): Promise<BlobSums | undefined> {
    await using blob = await this.open(digest)
    if (blob === undefined) throw new BlobRottenError(`${digest} is not here any more`)
    for await (const _ of blob.chunks(0, blob.size));
    return this.#options.sums.find(digest)
  }

  /** What is read at once anyway is checked before anything is promised: who asks for it gets another member's copy instead. */
  async #isReadable(digest: Digest, file: FileHandle, stats: Stats): Promise<boolean> {
    const { sound, sums } = this.#options
    if (stats.size > blockBytes || stats.size === 0 || sound.has(digest, stats)) return true
    const known = sums.find(digest)
    const blob = { digest, file, stats, known }
    const isRight =
      known === undefined
        ? await this.#suspect(digest)
        : await this.#isBlockRight(blob, known, { start: 0, end: stats.size })
    if (isRight) sound.add(digest, stats)
    return isRight
  }

  /** `undefined` when it was taken away before its sums were found: nothing was promised yet. */
  async #opened(
    digest: Digest,
    file: FileHandle,
    stats: Stats,
    receiverProves: boolean,
  ): Promise<OpenBlob | undefined> {
    const { buffers, sound, sums } = this.#options
    const { size } = stats
    // Found now: they go with the blob when it is collected, and whoever has it open reads on.
    const needsSums = !receiverProves && !sound.has(digest, stats)
    const known = needsSums ? sums.find(digest) : undefined
    if (needsSums && known === undefined && (await isTaken(file))) return undefined
    const chunks: OpenBlob['chunks'] = (start, end, options = {}) => {
      const stretch = { start, end: Math.min(end, size) }
      const isSound = sound.has(digest, stats)
      if (receiverProves || isSound) {
        const read = this.#noting(digest, readChunks(file, buffers, stretch.start, stretch.end, options))
        return isSound && size <= blockBytes ? this.#small.passing(digest, size, read) : read
      }
      return this.#noting(digest, this.#checked({ digest, file, stats, known }, stretch, options))
    }
    return { size, chunks, [Symbol.asyncDispose]: () => file.close() }
  }

  async *#noting(digest: Digest, read: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* read
    } catch (error) {
      this.#options.unreadable.note(digest, error)
      throw error
    }
  }

  async *#checked(
    blob: BlobBeingRead,
    { start, end }: Stretch,
    options: { signal?: AbortSignal },
  ): AsyncGenerator<Uint8Array> {
    const { digest, file, stats, known } = blob
    let passing = known === undefined ? undefined : new PassingBlocks(known, start)
    /** Of the chunks that were read, and not yet given. */
    const results: boolean[] = []
    const onRead = (chunk: Uint8Array): void => {
      results.push(passing?.areRight(chunk) ?? true)
    }
    const read = readChunks(file, this.#options.buffers, start, end, { ...options, onRead })
    // What cannot be told from the bytes that pass: the rest of blocks, or the whole. Its failure is thrown at the end.
    const rest = known === undefined ? this.#suspect(digest) : this.#areRestsRight(blob, known, start, end)
    rest.catch(() => undefined)
    try {
      let position = start
      for await (const chunk of read) {
        position += chunk.length
        let isRight = results.shift() ?? false
        if (!isRight && known !== undefined) {
          isRight = await this.#isRightAfterAll(digest, known)
          // What is read already was compared with sums that are wrong.
          passing = undefined
          results.fill(true)
        }
        if (position >= end) {
          isRight &&= await rest
          if (isRight && start === 0 && end === stats.size) this.#options.sound.add(digest, stats)
        }
        if (!isRight)
          throw new BlobRottenError(
            (await isTaken(file))
              ? `${digest} was removed while it was read, before its bytes were proven`
              : `the disk gives other bytes for ${digest} than were stored`,
          )
        yield chunk
      }
    } finally {
      // Blocks are read from the file that whoever reads this closes next.
      if (known !== undefined) await Promise.allSettled([rest])
    }
  }

  async #areRestsRight(blob: BlobBeingRead, known: BlobSums, start: number, end: number): Promise<boolean> {
    for (const block of partialBlocks(blob.stats.size, start, end))
      if (!(await this.#isBlockRight(blob, known, block))) return false
    return true
  }

  async #isBlockRight(
    { digest, file }: BlobBeingRead,
    known: BlobSums,
    { start, end }: Stretch,
  ): Promise<boolean> {
    const passing = new PassingBlocks(known, start)
    try {
      for await (const chunk of readChunks(file, this.#options.buffers, start, end))
        if (!passing.areRight(chunk)) return await this.#isRightAfterAll(digest, known)
      return true
    } catch (error) {
      if (!(error instanceof BlobTruncatedError)) throw error
      return await this.#isRightAfterAll(digest, known)
    }
  }

  /** Either rotted, the bytes or their sums: what hashes right had sums that were wrong. */
  async #isRightAfterAll(digest: Digest, known: BlobSums): Promise<boolean> {
    return (await this.#suspect(digest)) && !isSame(known, this.#options.sums.find(digest))
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

/** Removed by eviction or collection; what is set aside keeps a name. */
async function isTaken(file: FileHandle): Promise<boolean> {
  return (await file.stat()).nlink === 0
}

function isSame(a: BlobSums, b: BlobSums | undefined): boolean {
  return b !== undefined && a.size === b.size && Buffer.compare(a.sums, b.sums) === 0
}

/** Where there was no room to note them, what was proven a moment ago stands for what is read now. */
function hasSums(known: BlobSums | undefined, { start, end }: Stretch, sums: Uint8Array): boolean {
  if (known === undefined) return true
  if (start % blockBytes !== 0 || (end % blockBytes !== 0 && end !== known.size))
    throw new RangeError(`the bytes from ${start} to ${end} of ${known.size} are no whole blocks`)
  const at = (start / blockBytes) * sumBytes
  return Buffer.compare(known.sums.subarray(at, at + sums.length), sums) === 0
}
