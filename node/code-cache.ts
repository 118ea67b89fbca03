/**
 * Keeps V8's compile cache small: Node adds a file for each module of each build, and a folder for each version of its own and each
 * set of flags, and takes none away.
 */
import { lstatSync, unlinkSync } from 'node:fs'
import { opendir, rmdir, stat, utimes, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Background, breather, type Clock, type Logger } from '../src/base/base.ts'

/** Behind the start, which reads what it uses. */
const afterStartMs = 60_000
const dayMs = 24 * 60 * 60 * 1000
const namesAtOnce = 1024

export interface CacheLimits {
  /** Since it was read last, or written where the file system notes no reads. */
  maxAgeMs: number
  maxBytes: number
  /** In one look: what is beyond has its turn in a later one. */
  maxFiles: number
}

const limits: CacheLimits = { maxAgeMs: 30 * dayMs, maxBytes: 64 * 2 ** 20, maxFiles: 20_000 }

/** What Node names a folder of its cache, and a file in it, written or half written. */
const folderName = /^v\d+\.\d+\.\d+-/
const fileName = /^[0-9a-f]{1,8}(\.\w+)?$/
/** Written whenever somebody looks. */
const lookedName = 'looked'

interface CacheFile {
  path: string
  bytes: number
  usedMs: number
}

/**
 * Looks once, a while after the start, unless a node that uses the same cache did within the day. `directory` is Node's own in the
 * cache, `module.getCompileCacheDir()`.
 */
export function openCodeCache(
  directory: string | undefined,
  { clock, logger }: { clock: Clock; logger: Logger },
): AsyncDisposable {
  const background = new Background('the node', logger)
  const folder = dirname(directory ?? '')
  // One that somebody chose by NODE_COMPILE_CACHE may be of other programs, too.
  if (directory !== undefined && basename(folder) === 'shoal')
    background.start('clearing the compile cache', async (signal) => {
      await clock.sleep(afterStartMs, { signal })
      const removed = await pruneOnceADay(folder, { limits, nowMs: clock.now(), signal })
      if (removed > 0) logger.debug({ folder, removed }, 'removed compiled code that nobody used lately')
    })
  return background
}

interface Look {
  limits: CacheLimits
  nowMs: number
  signal?: AbortSignal
}

/** Does nothing where this node, or another that uses the same cache, has looked within the day. */
export async function pruneOnceADay(folder: string, look: Look): Promise<number> {
  return (await isDue(folder, look.nowMs)) ? await pruneCodeCache(folder, look) : 0
}

/** Whoever is told so is the one that looks today. */
async function isDue(folder: string, nowMs: number): Promise<boolean> {
  const path = join(folder, lookedName)
  const looked = await unless(['ENOENT'], stat(path))
  // A clock that was ahead puts off no look by more than that.
  if (looked !== undefined && Math.abs(nowMs - looked.mtimeMs) < dayMs) return false
  const note = async (): Promise<boolean> => {
    await writeFile(path, '')
    await utimes(path, nowMs / 1000, nowMs / 1000)
    return true
  }
  // Who may not write there can remove nothing either.
  return (await unless(['ENOENT', 'EACCES', 'EPERM', 'EROFS'], note())) ?? false
}

/**
 * Removes what was used longest ago, and resolves to how many files that were. A program that uses it all the same compiles it once
 * more at its next start.
 */
export async function pruneCodeCache(folder: string, { limits, nowMs, signal }: Look): Promise<number> {
  const files = await filesIn(folder, limits.maxFiles, signal)
  files.sort((one, other) => other.usedMs - one.usedMs)
  let bytes = 0
  const goes = files.filter((file) => {
    bytes += file.bytes
    return bytes > limits.maxBytes || file.usedMs < nowMs - limits.maxAgeMs
  })
  await inSlices(goes, signal, ({ path }) => unlinkSync(path))
  for (const emptied of new Set(goes.map(({ path }) => dirname(path))))
    await unless(['ENOTEMPTY', 'ENOENT'], rmdir(emptied))
  return goes.length
}

async function filesIn(folder: string, maxFiles: number, signal?: AbortSignal): Promise<CacheFile[]> {
  const paths = await pathsIn(folder, maxFiles, signal)
  const files: CacheFile[] = []
  await inSlices(paths, signal, (path) => {
    const stats = lstatSync(path)
    if (!stats.isFile()) return
    files.push({ path, bytes: stats.size, usedMs: Math.max(stats.atimeMs, stats.mtimeMs) })
  })
  return files
}

async function pathsIn(folder: string, maxFiles: number, signal?: AbortSignal): Promise<string[]> {
  const paths: string[] = []
  for await (const version of await namesIn(folder)) {
    if (!version.isDirectory() || !folderName.test(version.name)) continue
    for await (const { name } of await namesIn(join(folder, version.name))) {
      if (paths.length === maxFiles) return paths
      signal?.throwIfAborted()
      if (fileName.test(name)) paths.push(join(folder, version.name, name))
    }
  }
  return paths
}

async function namesIn(folder: string) {
  return (await unless(['ENOENT'], opendir(folder, { bufferSize: namesAtOnce }))) ?? []
}

/** On the main thread, as Node itself reads this cache: by the thread pool each file wakes two to ten times, at twice the work. */
async function inSlices<T>(all: T[], signal: AbortSignal | undefined, work: (one: T) => void): Promise<void> {
  const breathe = breather()
  for (const one of all) {
    signal?.throwIfAborted()
    await unless(['ENOENT'], Promise.try(work, one))
    await breathe()
  }
}

/** Another node may clear the same cache, and fill it. */
async function unless<T>(codes: string[], done: Promise<T>): Promise<T | undefined> {
  try {
    return await done
  } catch (error) {
    if (error instanceof Error && 'code' in error && codes.includes(String(error.code))) return undefined
    throw error
  }
}
