/** A file of this host that somebody else named, and may change or swap meanwhile. */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

export interface PlainFile {
  path: string
  size: number
}

/** Where it is none, or cannot be reached by who asks. */
const absences = new Set(['EACCES', 'ELOOP', 'ENOENT', 'ENOTDIR', 'ENXIO', 'EPERM'])

/** `undefined` where this process cannot read it, or it is no plain file of that size. A link is not followed. */
export async function openPlain(path: string, size: number): Promise<FileHandle | undefined> {
  const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants
  let file: FileHandle
  try {
    // Without waiting: a pipe would never open.
    file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    if (error instanceof Error && 'code' in error && absences.has(String(error.code))) return undefined
    throw error
  }
  const found = await file.stat()
  if (found.isFile() && found.size === size) return file
  await file.close()
  return undefined
}
