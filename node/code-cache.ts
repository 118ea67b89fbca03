/**
 * Keeps V8's compile cache small: Node adds a file for each module of each build, and a folder for each version of its own and each
 * set of flags, and takes none away.
 */
import { lstat, opendir, rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Background, type Clock, type Logger } from '../src/base/base.ts'

/** Behind the start, which reads what it uses. */
const afterStartMs = 60_000
const dayMs = 24 * 60 * 60 * 1000

export interface CacheLimits {
  /** Since it was read last, or written where the file system notes no reads. */
  maxAgeMs: number
  maxBytes: number
  /** In one look: what is beyond has its turn after a later start. */
  maxFiles: number
}

const limits: CacheLimits = { maxAgeMs: 30 * dayMs, maxBytes: 64 * 2 ** 20, maxFiles: 20_000 }

/** What Node names a folder of its cache, and a file in it, written or half written. */
const folderName = /^v\d+\.\d+\.\d+-/
const fileName = /^[0-9a-f]{1,8}(\.\w+)?$/

interface CacheFile {
  path: string
  bytes: number
  usedMs: number
}

/** Looks once, a while after the start. `directory` is Node's own in the cache, `module.getCompileCacheDir()`. */
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
      const removed = await pruneCodeCache(folder, { limits, nowMs: clock.now(), signal })
      if (removed > 0) logger.debug({ folder, removed }, 'removed compiled code that nobody used lately')
    })
  return background
}

/**
 * Removes what was used longest ago, and resolves to how many files that were. A program that uses it all the same compiles it once
 * more at its next start.
 */
export async function pruneCodeCache(
  folder: string,
  { limits, nowMs, signal }: { limits: CacheLimits; nowMs: number; signal?: AbortSignal },
): Promise<number> {
  const files = await filesIn(folder, limits.maxFiles, signal)
  files.sort((one, other) => other.usedMs - one.usedMs)
  let bytes = 0
  let removed = 0
  for (const file of files) {
    bytes += file.bytes
    if (bytes <= limits.maxBytes && file.usedMs >= nowMs - limits.maxAgeMs) continue
    signal?.throwIfAborted()
    await rm(file.path, { force: true })
    removed += 1
  }
  for (const emptied of new Set(files.map(({ path }) => dirname(path))))
    await unless(['ENOTEMPTY', 'ENOENT'], rmdir(emptied))
  return removed
}

async function filesIn(folder: string, maxFiles: number, signal?: AbortSignal): Promise<CacheFile[]> {
  const files: CacheFile[] = []
  for await (const version of (await unless(['ENOENT'], opendir(folder))) ?? []) {
    if (!version.isDirectory() || !folderName.test(version.name)) continue
    for await (const { name } of (await unless(['ENOENT'], opendir(join(folder, version.name)))) ?? []) {
      if (files.length === maxFiles) return files
      signal?.throwIfAborted()
      if (!fileName.test(name)) continue
      const path = join(folder, version.name, name)
      const stats = await unless(['ENOENT'], lstat(path))
      if (stats?.isFile() !== true) continue
      files.push({ path, bytes: stats.size, usedMs: Math.max(stats.atimeMs, stats.mtimeMs) })
    }
  }
  return files
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
