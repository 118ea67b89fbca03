/** The table files of a closed database: what a disk changed in them is cut out, and kept aside. */
import { link, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CodedError, type Logger, type Metrics } from '../base/base.ts'
import { orMissing, syncFolder } from './blob-files.ts'
import { checkTable } from './table-file.ts'

export interface CutTable {
  name: string
  /** Blocks of rows, and bytes of these. */
  blocks: number
  bytes: number
  /** Where the file lies as it was. */
  path: string
}

/** As LevelDB would say it. */
export class TableDamagedError extends CodedError {
  readonly code = 'LEVEL_CORRUPTION'
}

export async function listTables(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.endsWith('.ldb') || name.endsWith('.sst'))
}

/** `undefined` for a table that is as it was written, or gone. */
export async function findDamage(directory: string, name: string): Promise<{ length: number } | undefined> {
  const file = await orMissing(readFile(join(directory, name)))
  return file === undefined || checkTable(file).mended === undefined ? undefined : { length: file.length }
}

/** Has LevelDB find nothing in the blocks of `directory`'s tables that are not as they were written. */
export async function cutDamage(directory: string, stamp: number): Promise<CutTable[]> {
  const aside = join(dirname(directory), 'quarantine')
  const cut: CutTable[] = []
  for (const name of await listTables(directory)) {
    const place = join(directory, name)
    const { damaged, bytes, mended } = checkTable(await readFile(place))
    if (mended === undefined) continue
    const path = join(aside, `${name}.${stamp}`)
    await mkdir(aside, { recursive: true, mode: 0o700 })
    await link(place, path)
    await replace(place, mended)
    cut.push({ name, blocks: damaged, bytes, path })
  }
  if (cut.length > 0) await syncFolder(directory)
  return cut
}

/** What was cut out of a database since it was opened by its owner. */
export class Damage {
  readonly tables: CutTable[] = []
  /** Told once it takes writes again. */
  readonly listeners = new Set<() => void>()
  readonly #directory: string
  readonly #options: { logger: Logger; metrics: Metrics }

  constructor(directory: string, options: { logger: Logger; metrics: Metrics }) {
    this.#directory = directory
    this.#options = options
  }

  /** Called when it was opened again. */
  async tell(cut: CutTable[]): Promise<void> {
    const names = await readdir(this.#directory)
    const tables = cut.filter(({ name }) => names.includes(name))
    // The others were left by a compaction that did not end: LevelDB removes them when it opens, and nothing was lost.
    for (const { path } of cut.filter((table) => !tables.includes(table))) await rm(path, { force: true })
    if (tables.length === 0) return
    this.tables.push(...tables)
    const { logger, metrics } = this.#options
    metrics.count('shoal_database_damaged_tables_total', {}, tables.length)
    logger.error(
      { tables },
      'the disk changed parts of the database: they are cut out, and their rows are made anew or come from members',
    )
    for (const listener of this.listeners) listener()
  }
}

async function replace(place: string, bytes: Uint8Array): Promise<void> {
  const anew = `${place}.new`
  {
    await using file = await open(anew, 'w', 0o600)
    await file.writeFile(bytes)
    await file.sync()
  }
  await rename(anew, place)
}
