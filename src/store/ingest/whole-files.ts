/** Small files in one go: made, synced, and given their names together, as a file system commits together what is synced together. */
import {
  closeSync,
  fsync,
  fsyncSync,
  futimesSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { Semaphore } from '../../base/base.ts'

const sync = promisify(fsync)
/** They wait in the thread pool, of whose four one stays free for reads. */
const syncing = new Semaphore(3)

export interface WholeFile {
  /** Where it is made; nothing is there. */
  path: string
  /** Its name once it is on disk. */
  target: string
  bytes: Uint8Array
  timeMs: number
}

/** How much of the disk the file took that had the name, or why it is not there. */
export type PutOutcome = { replacedBytes: number } | { error: { message: string; code: string | undefined } }

interface Making {
  file: WholeFile
  /** Something is at its path that is its own. */
  isMade: boolean
  replacedBytes: number
  failure: unknown
}

/** Durable when it resolves, each by itself: one that fails leaves nothing at its path, and the others as they are. */
export async function putWhole(files: readonly WholeFile[]): Promise<PutOutcome[]> {
  const all: Making[] = files.map((file) => ({
    file,
    isMade: false,
    replacedBytes: 0,
    failure: undefined,
  }))
  const opened = all.map((each) => attempt([each], () => make(each)))
  await syncAll(all.map((each, index) => ({ fd: opened[index], whose: [each] })))
  const folders = new Map<string, Making[]>()
  for (const each of all) {
    if (each.failure !== undefined) continue
    const { path, target } = each.file
    attempt([each], () => {
      each.replacedBytes = (statSync(target, { throwIfNoEntry: false })?.blocks ?? 0) * 512
      renameSync(path, target)
    })
    const folder = dirname(target)
    folders.set(folder, [...(folders.get(folder) ?? []), each])
  }
  await syncAll(
    [...folders].map(([folder, whose]) => ({ fd: attempt(whose, () => openSync(folder, 'r')), whose })),
  )
  return all.map(outcomeOf)
}

function make(making: Making): number {
  const { path, bytes, timeMs } = making.file
  const fd = openSync(path, 'wx', 0o600)
  making.isMade = true
  try {
    for (let at = 0; at < bytes.length; ) at += writeSome(fd, bytes.subarray(at))
    futimesSync(fd, timeMs / 1000, timeMs / 1000)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function writeSome(fd: number, bytes: Uint8Array): number {
  const written = writeSync(fd, bytes)
  if (written === 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' })
  return written
}

/** Syncs and closes them, side by side where there are several: a single one costs less here than in another thread. */
async function syncAll(open: { fd: number | undefined; whose: Making[] }[]): Promise<void> {
  const isOne = open.length === 1
  await Promise.all(
    open.map(async ({ fd, whose }) => {
      if (fd === undefined) return
      try {
        if (isOne) fsyncSync(fd)
        else await syncing.run(() => sync(fd))
      } catch (error) {
        for (const each of whose) each.failure ??= error
      } finally {
        closeSync(fd)
      }
    }),
  )
}

/** What fails is told to those whose it is. */
function attempt<T>(whose: readonly Making[], work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    for (const each of whose) each.failure ??= error
    return undefined
  }
}

function outcomeOf({ file, isMade, replacedBytes, failure }: Making): PutOutcome {
  if (failure === undefined) return { replacedBytes }
  if (isMade) rmSync(file.path, { force: true })
  const code = failure instanceof Error && 'code' in failure ? String(failure.code) : undefined
  return { error: { message: failure instanceof Error ? failure.message : String(failure), code } }
}
