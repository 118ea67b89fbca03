/** The files of a data directory: blobs by digest, uploads by id, and what was put into quarantine. */
import type { Stats } from 'node:fs'
import { mkdir, open, opendir, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { algorithmOf, type Digest, type DigestAlgorithm, hexOf, isDigest } from '../../oci/oci.ts'

const algorithms: DigestAlgorithm[] = ['sha256', 'sha512']
const unreadEnding = '.unread'
/** Of a folder, in one trip to the thread pool. */
const entriesAtOnce = 256

export class BlobFiles {
  readonly #root: string
  readonly #blobs: string
  /** Folders whose entry in their parent is known to be on disk. */
  readonly #folders = new Map<string, Promise<void>>()
  readonly #onFreed: (bytes: number) => void

  /** `onFreed` hears how much of the disk whatever is removed took. */
  constructor(root: string, { onFreed = () => undefined }: { onFreed?: (bytes: number) => void } = {}) {
    this.#root = root
    this.#blobs = join(root, 'blobs')
    this.#onFreed = onFreed
  }

  /** Makes the folders that are always there. */
  async prepare(): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 })
    for (const name of ['uploads', 'partials', 'quarantine', 'blobs'])
      await makeFolder(join(this.#root, name))
    for (const algorithm of algorithms) await makeFolder(join(this.#root, 'blobs', algorithm))
    await syncFolder(join(this.#root, 'blobs'))
    await syncFolder(this.#root)
  }

  uploadPath(id: string): string {
    return join(this.#root, 'uploads', id)
  }

  partialPath(digest: Digest): string {
    return join(this.#root, 'partials', digest.replace(':', '-'))
  }

  async listUploads(): Promise<string[]> {
    return await readdir(join(this.#root, 'uploads'))
  }

  async removeUpload(id: string): Promise<void> {
    await this.#remove(this.uploadPath(id))
  }

  blobPath(digest: Digest): string {
    const hex = hexOf(digest)
    // On the way of each read, where joining costs as much as asking for the file's facts.
    return `${this.#blobs}${sep}${algorithmOf(digest)}${sep}${hex.slice(0, 2)}${sep}${hex}`
  }

  async stat(digest: Digest): Promise<Stats | undefined> {
    return await orMissing(stat(this.blobPath(digest)))
  }

  async publish(id: string, digest: Digest): Promise<void> {
    await this.publishFile(this.uploadPath(id), digest)
  }

  /** Gives a proven and synced file its digest's name; durable when it resolves. */
  async publishFile(from: string, digest: Digest): Promise<void> {
    const path = await this.placeOf(digest)
    const replaced = await sizeOnDisk(path)
    // Also when the blob is there already: that one may not be synced yet, or may have rotted.
    await rename(from, path)
    this.#onFreed(replaced)
    await syncFolder(dirname(path))
  }

  /** The digest's name, in a folder that is durable. */
  async placeOf(digest: Digest): Promise<string> {
    const path = this.blobPath(digest)
    const folder = dirname(path)
    let made = this.#folders.get(folder)
    if (made === undefined) {
      made = this.#makeDurable(folder)
      this.#folders.set(folder, made)
    }
    await made
    return path
  }

  /** A file that a new one took the name of took so much. */
  noteReplaced(bytes: number): void {
    this.#onFreed(bytes)
  }

  async remove(digest: Digest): Promise<void> {
    await this.#remove(this.blobPath(digest))
  }

  async removePartial(digest: Digest): Promise<void> {
    await this.#remove(this.partialPath(digest))
  }

  /** Moves a blob out of the way; returns where it lies now. What was not read is told from what is wrong by its name. */
  async quarantine(digest: Digest, stamp: number, { isUnread = false } = {}): Promise<string> {
    const path = `${this.quarantinePath(digest, stamp)}${isUnread ? unreadEnding : ''}`
    await rename(this.blobPath(digest), path)
    await syncFolder(dirname(path))
    await syncFolder(dirname(this.blobPath(digest)))
    return path
  }

  quarantinePath(digest: Digest, stamp: number): string {
    return join(this.#root, 'quarantine', `${digest.replace(':', '-')}.${stamp}`)
  }

  /** What was put there because it was not read. */
  async listUnread(): Promise<{ digest: Digest; path: string }[]> {
    const folder = join(this.#root, 'quarantine')
    return (await readdir(folder)).flatMap((name) => {
      const [, algorithm, hex] = /^(sha256|sha512)-([0-9a-f]+)\.\d+\.unread$/.exec(name) ?? []
      const digest = `${algorithm}:${hex}`
      return isDigest(digest) ? [{ digest, path: join(folder, name) }] : []
    })
  }

  /** Every blob's digest, folder by folder. Files with other names are left alone. */
  async *list(): AsyncGenerator<Digest> {
    for (const algorithm of algorithms) {
      for (const shard of await readdir(join(this.#root, 'blobs', algorithm)))
        yield* this.#listFolder(algorithm, shard)
    }
  }

  /** Blobs whose hash begins with these two digits, in order of the hash. */
  async listShard(shard: string): Promise<Digest[]> {
    const found: Digest[] = []
    for (const algorithm of algorithms) {
      for await (const digest of this.#listFolder(algorithm, shard)) found.push(digest)
    }
    return found.sort((a, b) => (hexOf(a) < hexOf(b) ? -1 : 1))
  }

  async #remove(path: string): Promise<void> {
    const bytes = await sizeOnDisk(path)
    await rm(path, { force: true })
    this.#onFreed(bytes)
  }

  async *#listFolder(algorithm: DigestAlgorithm, shard: string): AsyncGenerator<Digest> {
    const folder = await orMissing(
      opendir(join(this.#root, 'blobs', algorithm, shard), { bufferSize: entriesAtOnce }),
    )
    if (folder === undefined) return
    for await (const entry of folder) {
      const digest = `${algorithm}:${entry.name}`
      if (entry.isFile() && isDigest(digest)) yield digest
    }
  }

  async #makeDurable(folder: string): Promise<void> {
    try {
      await makeFolder(folder)
      await syncFolder(dirname(folder))
    } catch (error) {
      this.#folders.delete(folder)
      throw error
    }
  }
}

/** 0 for a file that does not exist. */
async function sizeOnDisk(path: string): Promise<number> {
  return ((await orMissing(stat(path)))?.blocks ?? 0) * 512
}

/** Settles like `promise`, with `undefined` for a file that does not exist. */
export async function orMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
}

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r')
  await folder.sync()
}
