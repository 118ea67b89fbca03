/** Blobs made cheaply: one random base, and a trailer that makes each content new, hashed before anything is timed. */
import { createHash, type Hash, randomBytes, randomFillSync } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'

const blockSize = 8 * 1024 * 1024
const trailerSize = 64

export interface Content {
  path: string
  size: number
  digest: string
}

/** A file whose content changes as a whole blob, but of which only the end is written and hashed again. */
export interface BlobFile {
  /** Writes a new trailer; the content given before is gone. */
  renew(): Promise<Content>
}

/** Makes blob files of one size, which share their base and the hash of it. */
export class BlobMaker {
  readonly #block = randomFillSync(Buffer.allocUnsafe(blockSize))
  readonly #prefixes = new Map<number, Hash>()

  /** `size` in bytes, at least 64. */
  async make(path: string, size: number): Promise<BlobFile> {
    await this.#writeBase(path, size)
    return { renew: () => this.#renew(path, size) }
  }

  async #writeBase(path: string, size: number): Promise<void> {
    await using file = await open(path, 'w')
    for (const part of this.#parts(size)) await writeAll(file, part)
  }

  async #renew(path: string, size: number): Promise<Content> {
    const trailer = randomBytes(trailerSize)
    await using file = await open(path, 'r+')
    await file.write(trailer, 0, trailerSize, size - trailerSize)
    await readThrough(file)
    const digest = this.#prefix(size).copy().update(trailer).digest('hex')
    return { path, size, digest: `sha256:${digest}` }
  }

  #prefix(size: number): Hash {
    const known = this.#prefixes.get(size)
    if (known !== undefined) return known
    const prefix = createHash('sha256')
    for (const part of this.#parts(size - trailerSize)) prefix.update(part)
    this.#prefixes.set(size, prefix)
    return prefix
  }

  *#parts(size: number): Generator<Buffer> {
    for (let left = size; left > 0; left -= blockSize)
      yield this.#block.subarray(0, Math.min(left, blockSize))
  }
}

/** A host may have dropped pages of the file: a client that waits for the disk is no measure of a registry. */
async function readThrough(file: FileHandle): Promise<void> {
  const buffer = Buffer.allocUnsafe(blockSize)
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, blockSize, at)
    if (bytesRead === 0) return
    at += bytesRead
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done)).bytesWritten
}
