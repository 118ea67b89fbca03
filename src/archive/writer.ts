/** Writing an image layout: into a folder that may hold some of it already, or as a tar file in one go. */
import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { algorithmOf, type Descriptor, hexOf } from '../oci/oci.ts'
import { ArchiveError } from './errors.ts'
import { blobPath } from './files.ts'
import { openFolderFiles } from './folder-files.ts'
import { blockBytes, encodeHeader, paddingOf } from './tar-header.ts'

export interface ArchiveWriter extends AsyncDisposable {
  /** Small files come first, in any order. */
  putFile(path: string, text: string): Promise<void>
  /** Whether the blob is there already, and right. */
  hasBlob(blob: Descriptor): Promise<boolean>
  /** Throws ArchiveError when the bytes are not the blob's. Nothing wrong keeps a blob's name. */
  putBlob(blob: Descriptor, chunks: AsyncIterable<Uint8Array>): Promise<void>
  /** Everything is written: from now on it is an archive. Without it, a tar file is removed when it is disposed of. */
  finish(): Promise<void>
}

const unfinished = '.unfinished'

export async function openTarWriter(path: string): Promise<ArchiveWriter> {
  const temporary = `${path}${unfinished}`
  const file = await open(temporary, 'w')
  let isFinished = false
  return {
    async putFile(name, text) {
      const bytes = Buffer.from(text)
      await file.writeFile(encodeHeader(name, bytes.length))
      await file.writeFile(bytes)
      await file.writeFile(Buffer.alloc(paddingOf(bytes.length)))
    },
    hasBlob: async () => false,
    async putBlob(blob, chunks) {
      await file.writeFile(encodeHeader(blobPath(blob), blob.size))
      await copyProven(blob, chunks, file)
      await file.writeFile(Buffer.alloc(paddingOf(blob.size)))
    },
    async finish() {
      await file.writeFile(Buffer.alloc(2 * blockBytes))
      await file.sync()
      await rename(temporary, path)
      isFinished = true
    },
    async [Symbol.asyncDispose]() {
      await file.close()
      if (!isFinished) await rm(temporary, { force: true })
    },
  }
}

export async function openFolderWriter(folder: string): Promise<ArchiveWriter> {
  await mkdir(folder, { recursive: true })
  const files = await openFolderFiles(folder)
  const put = async (path: string, write: (file: FileHandle) => Promise<void>): Promise<void> => {
    const target = join(folder, path)
    await mkdir(dirname(target), { recursive: true })
    const temporary = `${target}${unfinished}`
    try {
      const file = await open(temporary, 'w')
      try {
        await write(file)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, target)
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
  }
  return {
    putFile: (path, text) => put(path, (file) => file.writeFile(text)),
    async hasBlob(blob) {
      const path = blobPath(blob)
      if ((await files.find(path))?.size !== blob.size) return false
      const hashing = createHash(algorithmOf(blob.digest))
      for await (const chunk of files.chunks(path)) hashing.update(chunk)
      return hashing.digest('hex') === hexOf(blob.digest)
    },
    putBlob: (blob, chunks) => put(blobPath(blob), (file) => copyProven(blob, chunks, file)),
    finish: async () => undefined,
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  }
}

/** Whether a folder may become an image layout: it is not there, empty, or one already. */
export async function isLayoutFolder(folder: string): Promise<boolean> {
  try {
    if (!(await stat(folder)).isDirectory()) return false
    const names = await readdir(folder)
    return names.length === 0 || names.includes('oci-layout') || names.every((name) => name === 'blobs')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return true
    throw error
  }
}

async function copyProven(
  blob: Descriptor,
  chunks: AsyncIterable<Uint8Array>,
  file: FileHandle,
): Promise<void> {
  const hashing = createHash(algorithmOf(blob.digest))
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > blob.size) break
    hashing.update(chunk)
    await file.writeFile(chunk)
  }
  if (length !== blob.size)
    throw new ArchiveError(`${blob.digest} has other than the ${blob.size} bytes that its manifest says`)
  const actual = hashing.digest('hex')
  if (actual !== hexOf(blob.digest)) throw new ArchiveError(`the bytes of ${blob.digest} hash to ${actual}`)
}
