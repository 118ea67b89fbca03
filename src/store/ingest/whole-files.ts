/** A small file in one go: made, synced, and given its name, while others are. */
import { closeSync, fsync, futimesSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { Semaphore } from '../../base/base.ts'

const sync = promisify(fsync)
/** File systems commit what is synced at once together. They wait in the thread pool, of whose four one stays free for reads. */
const syncing = new Semaphore(3)

export interface WholeFile {
  /** Where it is made; nothing is there. */
  path: string
  /** Its name once it is on disk. */
  target: string
  bytes: Uint8Array
  timeMs: number
}

/** Durable when it resolves, to how much of the disk the file took that had the name. */
export async function putWhole({ path, target, bytes, timeMs }: WholeFile): Promise<number> {
  try {
    await usingFile(path, 'wx', async (fd) => {
      for (let at = 0; at < bytes.length; ) at += writeSome(fd, bytes.subarray(at))
      futimesSync(fd, timeMs / 1000, timeMs / 1000)
      await syncing.run(() => sync(fd))
    })
    const replaced = (statSync(target, { throwIfNoEntry: false })?.blocks ?? 0) * 512
    renameSync(path, target)
    await usingFile(dirname(target), 'r', (fd) => syncing.run(() => sync(fd)))
    return replaced
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  }
}

function writeSome(fd: number, bytes: Uint8Array): number {
  const written = writeSync(fd, bytes)
  if (written === 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' })
  return written
}

async function usingFile(path: string, flags: string, work: (fd: number) => Promise<void>): Promise<void> {
  const fd = openSync(path, flags, 0o600)
  try {
    await work(fd)
  } finally {
    closeSync(fd)
  }
}
