/** The table files of a database: what a disk changed in them is found, cut out while it is closed, and kept aside. */
import { link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CodedError } from '../../base/base.ts'
import { orMissing, syncFolder } from '../files/blob-files.ts'
import { type LiveTable, readLiveTables } from './level-manifest.ts'
import { checkTable, type TableCheck } from './table-file.ts'

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

interface Found extends TableCheck {
  name: string
  place: string
}

/** The tables that LevelDB reads, one after the other as they are asked for. */
export async function* checkTables(directory: string): AsyncGenerator<Found> {
  for (const table of (await readLiveTables(directory)) ?? []) {
    const place = await placeOf(directory, table)
    const file = place && (await orMissing(readFile(place)))
    // One that is gone was compacted meanwhile; LevelDB does not open where one is missing.
    if (place && file) yield { ...checkTable(file, table.size), name: table.name, place }
  }
}

/** Has LevelDB find nothing in the blocks that are not as they were written. Each is given to `onCut` as it was cut. */
export async function cutTables(directory: string, onCut: (table: CutTable) => void): Promise<void> {
  for await (const { name, place, damaged, bytes, mended } of checkTables(directory)) {
    if (mended === undefined) continue
    const path = await keepAside(place, join(dirname(directory), 'quarantine'))
    try {
      await replace(place, mended)
    } catch (error) {
      await rm(path, { force: true })
      throw error
    }
    onCut({ name, blocks: damaged, bytes, path })
  }
  await syncFolder(directory)
}

async function placeOf(directory: string, { name }: LiveTable): Promise<string | undefined> {
  // As LevelDB looks for them, the second for what its first versions wrote.
  for (const ending of ['ldb', 'sst']) {
    const place = join(directory, `${name}.${ending}`)
    if ((await orMissing(stat(place))) !== undefined) return place
  }
  return undefined
}

/** Under a name that is free there. */
async function keepAside(place: string, aside: string): Promise<string> {
  await mkdir(aside, { recursive: true, mode: 0o700 })
  for (let attempt = 0; ; attempt++) {
    const path = join(aside, `${basename(place)}.${attempt}`)
    try {
      await link(place, path)
      return path
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
  }
}

/** Whoever opens it finds the one or the other, whole. */
export async function replace(place: string, bytes: Uint8Array): Promise<void> {
  const anew = `${place}.new`
  try {
    await using file = await open(anew, 'w', 0o600)
    await file.writeFile(bytes)
    await file.sync()
  } catch (error) {
    await rm(anew, { force: true })
    throw error
  }
  await rename(anew, place)
}
