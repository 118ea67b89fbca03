/** Writing an image layout: into a folder that may hold some of it already, or as a tar file in one go. */
import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, readdir, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { algorithmOf, type Descriptor, hexOf } from '../oci/oci.ts'
import { ArchiveError } from './errors.ts'
import { blobPath } from './files.ts'
import { SafeFolder } from './safe-folder.ts'
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

export async function openTarWriter(path: string): Promise<ArchiveWriter> {
  await using opened = new AsyncDisposableStack()
  const folder = opened.use(await SafeFolder.open(dirname(path)))
  const name = basename(path)
  const file = await folder.create(name)
  const resources = opened.move()
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
      await folder.name(name)
      isFinished = true
    },
    async [Symbol.asyncDispose]() {
      await file.close()
      if (!isFinished) await folder.forget(name)
      await resources.disposeAsync()
    },
  }
}

/** Throws ArchiveError where a stranger's link, or what is no plain file, is in the way. */
export async function openFolderWriter(folder: string): Promise<ArchiveWriter> {
  await mkdir(folder, { recursive: true })
  const root = await SafeFolder.open(folder)
  /** In the last folder of the path, entered one by one. */
  const within = async <T>(
    path: string,
    work: (folder: SafeFolder, name: string) => Promise<T>,
  ): Promise<T> => {
    await using opened = new AsyncDisposableStack()
    const parts = path.split('/')
    const name = parts.pop() ?? ''
    let inner = root
    for (const part of parts) inner = opened.use(await inner.enter(part))
    return await work(inner, name)
  }
  const put = (path: string, write: (file: FileHandle) => Promise<void>): Promise<void> =>
    within(path, (inner, name) => inner.put(name, write))
  return {
    putFile: (path, text) => put(path, (file) => file.writeFile(text)),
    hasBlob: (blob) =>
      within(blobPath(blob), async (inner, name) => {
        await using file = await inner.find(name)
        if (file === undefined || (await file.stat()).size !== blob.size) return false
        const hashing = createHash(algorithmOf(blob.digest))
        for await (const chunk of file.createReadStream({ autoClose: false })) hashing.update(chunk)
        return hashing.digest('hex') === hexOf(blob.digest)
      }),
    putBlob: (blob, chunks) => put(blobPath(blob), (file) => copyProven(blob, chunks, file)),
    finish: async () => undefined,
    [Symbol.asyncDispose]: () => root[Symbol.asyncDispose](),
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
