/**
 * A database of which the disk took CURRENT or MANIFEST: LevelDB does not know then which of its files count. Where the newest MANIFEST
 * is whole, it only has to be named again. Else the database is made anew from all tables and logs that there are, after what is
 * damaged in them was cut out; as it was it lies in `quarantine/`.
 *
 * LevelDB's repair puts all tables side by side, and finds in the one with the highest number what an older row said. So they are
 * compacted into one, by the order of their rows, before anybody reads.
 */
import { link, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { orMissing, syncFolder } from '../files/blob-files.ts'
import { compactAll, repair } from './level-engine.ts'
import { liveTables } from './level-manifest.ts'
import { standalone } from './table-file.ts'
import { replace } from './table-files.ts'

export type Restored = { how: 'named'; manifest: string } | { how: 'rebuilt'; path: string }

/** While it lies beside the database, that is not to be read: rebuilding it began. */
const unfinishedEnding = '.rebuild'
const manifestName = /^MANIFEST-(\d+)$/
const tableName = /^(\d+)\.(?:ldb|sst)$/
const logName = /^\d+\.log$/

/** Whether a rebuilding was begun and did not end. */
export async function isHalfRebuilt(directory: string): Promise<boolean> {
  return (await orMissing(stat(`${directory}${unfinishedEnding}`))) !== undefined
}

/** Whether it has rows, and does not say which. */
export async function isUnled(directory: string): Promise<boolean> {
  const files = (await orMissing(readdir(directory))) ?? []
  const current = (await orMissing(readFile(join(directory, 'CURRENT'), 'latin1')))?.trimEnd() ?? ''
  if (manifestName.test(current) && files.includes(current)) {
    const bytes = await readFile(join(directory, current))
    // One without a record is none.
    if (bytes.length > 0 && liveTables(bytes) !== undefined) return false
  }
  for (const name of files) {
    if (tableName.test(name)) return true
    if (logName.test(name) && (await stat(join(directory, name))).size > 0) return true
  }
  return false
}

/** Nobody may have it open. */
export async function restore(directory: string): Promise<Restored> {
  const unfinished = `${directory}${unfinishedEnding}`
  const manifest = (await isHalfRebuilt(directory)) ? undefined : await newestManifest(directory)
  if (manifest !== undefined) {
    await replace(join(directory, 'CURRENT'), Buffer.from(`${manifest}\n`))
    await syncFolder(directory)
    return { how: 'named', manifest }
  }
  const path = await keepAside(directory)
  // What is collected has to wait until links and references were made anew.
  for (const mark of [`${directory}.cut`, unfinished]) await replace(mark, Buffer.alloc(0))
  await syncFolder(dirname(directory))
  for (const name of await readdir(directory)) {
    if (!tableName.test(name)) continue
    const table = standalone(await readFile(join(directory, name)))
    if (table !== undefined) await replace(join(directory, name), table)
  }
  await repair(directory)
  // Where that puts what it cannot use, and what is kept aside already.
  await rm(join(directory, 'lost'), { recursive: true, force: true })
  await compactAll(directory)
  await syncFolder(directory)
  await rm(unfinished)
  return { how: 'rebuilt', path }
}

/** The newest, unless it is damaged, or lacks its end: a table has gone that it names, or has come that it does not. */
async function newestManifest(directory: string): Promise<string | undefined> {
  const files = await readdir(directory)
  const numberOf = (name: string): number => Number(manifestName.exec(name)?.[1])
  const [newest] = files.filter((name) => manifestName.test(name)).sort((a, b) => numberOf(b) - numberOf(a))
  const bytes = newest === undefined ? undefined : await readFile(join(directory, newest))
  const live = bytes === undefined || bytes.length === 0 ? undefined : liveTables(bytes)
  if (live === undefined) return undefined
  const present = new Set(files.flatMap((name) => tableName.exec(name)?.[1] ?? []))
  const last = Math.max(0, ...live.map(({ name }) => Number(name)))
  const isWhole = live.every(({ name }) => present.has(name))
  return isWhole && [...present].every((name) => Number(name) <= last) ? newest : undefined
}

/** As second names of its files, so that it takes no room. */
async function keepAside(directory: string): Promise<string> {
  const quarantine = join(dirname(directory), 'quarantine')
  await mkdir(quarantine, { recursive: true, mode: 0o700 })
  const taken = new Set(await readdir(quarantine))
  let attempt = 0
  while (taken.has(`db.${attempt}`)) attempt++
  const path = join(quarantine, `db.${attempt}`)
  await mkdir(path, { mode: 0o700 })
  for (const entry of await readdir(directory, { withFileTypes: true }))
    if (entry.isFile()) await link(join(directory, entry.name), join(path, entry.name))
  return path
}
