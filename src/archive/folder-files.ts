/** The files of an image layout that lies in a folder. */
import { constants } from 'node:fs'
import { lstat, open, realpath, stat } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { excerpt } from '../oci/oci.ts'
import { ArchiveError } from './errors.ts'
import type { ArchiveFiles } from './files.ts'
import { checkName } from './tar-header.ts'

const chunkBytes = 256 * 1024

/** Throws ArchiveError when it is no folder. */
export async function openFolderFiles(folder: string): Promise<ArchiveFiles> {
  if (!(await stat(folder)).isDirectory()) throw new ArchiveError(`${folder} is not a folder`)
  const root = await realpath(folder)
  return {
    name: folder,
    async find(path) {
      const found = await findPlain(root, join(root, checkName(path)))
      return found === undefined ? undefined : { size: found.size }
    },
    pathOf: (path) => join(root, checkName(path)),
    async *chunks(path, { signal } = {}) {
      // A link that took the file's place since it was looked at is not followed.
      const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants
      const file = await open(join(root, checkName(path)), O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
      try {
        const found = await file.stat()
        // Nor is a pipe, which would never end.
        if (!found.isFile()) throw new ArchiveError(`${excerpt(path)} of ${folder} is no plain file`)
        const { size } = found
        const buffer = Buffer.alloc(Math.min(chunkBytes, Math.max(1, size)))
        for (let at = 0; at < size; ) {
          signal?.throwIfAborted()
          const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, size - at), at)
          if (bytesRead === 0)
            throw new ArchiveError(`${excerpt(path)} of ${folder} has become shorter while it was read`)
          at += bytesRead
          yield buffer.subarray(0, bytesRead)
        }
      } finally {
        await file.close()
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

/** The names come from the archive as well, and so may links to folders outside of it. */
async function findPlain(root: string, path: string): Promise<{ size: number } | undefined> {
  try {
    const found = await lstat(path)
    const folder = await realpath(dirname(path))
    if (folder !== root && !folder.startsWith(root + sep))
      throw new ArchiveError(`${excerpt(path, 300)} leads out of ${root}`)
    if (found.isFile()) return found
    throw new ArchiveError(`${excerpt(path, 300)} is no plain file; links are not followed`)
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined
    throw error
  }
}
