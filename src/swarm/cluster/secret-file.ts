/** Small files that only the node's user may read, written so that they are whole or absent after a crash. */
import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SwarmFileError } from '../errors.ts'

/** `undefined` when there is none; throws SwarmFileError when other users may read it. */
export async function readSecretFile(path: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(path)
    if ((mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8)
      throw new SwarmFileError(
        path,
        `has mode ${octal}, so that others may use its secret; run chmod 600 ${path}`,
      )
    }
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

/** Replaces what was there; durable when it resolves. */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`
  await rm(temporary, { force: true })
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  await syncFolder(dirname(path))
}

/** Returns false when there was none. */
export async function removeSecretFile(path: string): Promise<boolean> {
  try {
    await rm(path)
  } catch (error) {
    if (isAbsent(error)) return false
    throw error
  }
  await syncFolder(dirname(path))
  return true
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
