/** The store's tables in LevelDB, and how the database of a data directory is opened. */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { type Logger, noMetrics, silentLogger, steadyClock } from '../../base/base.ts'
import type { Digest, DigestAlgorithm, Repository } from '../../oci/oci.ts'
import type { ScrubState } from '../blobs/scrub.ts'
import { DatabaseFaultError, StoreFullError, StoreLockedError } from '../errors.ts'
import { orMissing, syncFolder } from '../files/blob-files.ts'
import { asStoreError } from '../files/disk-space.ts'
import { isHalfRebuilt, isUnled, restore } from './rebuild.ts'
import { SoundLevel, type SoundLevelOptions } from './sound-level.ts'

/** The one owner of LevelDB: see `sound-level.ts` for what a failed write means. */
export type Database = SoundLevel

/**
 * Opens (or makes) `directory/db`. Throws StoreLockedError when another process has it, StoreFullError when there is no
 * room for what opening writes. The caller closes it.
 */
export async function openDatabase(
  directory: string,
  options: Partial<SoundLevelOptions> = {},
): Promise<Database> {
  const path = join(directory, 'db')
  const { logger = silentLogger } = options
  // While it is there nothing was acknowledged: LevelDB does not sync the first file of a new database.
  const unfinished = `${path}.new`
  const found = (await orMissing(readdir(path))) ?? []
  if (found.length === 0) {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await writeFile(unfinished, '', { mode: 0o600 })
    await syncFolder(directory)
  } else if (await isHalfRebuilt(path)) await lead(directory, path, logger)
  else if (!found.includes('CURRENT') && !existsSync(unfinished)) {
    // LevelDB would make a new one over the files.
    if (!(await isUnled(path)))
      throw new DatabaseFaultError(
        `${path} has files, and neither a CURRENT nor tables or logs with rows: restore the data directory, or move ${path} away and let the node join anew`,
      )
    await lead(directory, path, logger)
  }
  await mkdir(path, { recursive: true, mode: 0o700 })
  const open = async (): Promise<Database> => {
    const database = new SoundLevel(path, {
      logger: silentLogger,
      metrics: noMetrics,
      clock: steadyClock,
      reopenBytes: 16 * 2 ** 20,
      ...options,
    })
    await database.open()
    return database
  }
  try {
    const database = await open()
    await finish(directory, unfinished)
    return database
  } catch (error) {
    if (codeOf(error) === 'LEVEL_LOCKED') throw lockedError(directory, error)
    const known = asStoreError(error)
    if (known instanceof StoreFullError)
      throw new StoreFullError(
        `the disk of ${directory} is full, and its database takes up to 16 MiB to be opened: make room, and start again`,
        { cause: error },
      )
    const isHalfMade = codeOf(error) === 'LEVEL_CORRUPTION' && existsSync(unfinished)
    if (!isHalfMade && !(await isUnled(path))) throw error
    if (isHalfMade) {
      await rm(path, { recursive: true })
      await mkdir(path, { mode: 0o700 })
    } else await lead(directory, path, logger)
  }
  const database = await open()
  await finish(directory, unfinished)
  return database
}

/** Lets LevelDB know again which of its files count. */
async function lead(directory: string, path: string, logger: Logger): Promise<void> {
  await refuseLocked(directory, path)
  const restored = await restore(path)
  const message =
    restored.how === 'named'
      ? 'the database’s CURRENT was lost and is there again, with every row'
      : 'the disk changed the database’s MANIFEST: it was made anew from its tables and logs, and what was damaged in these is missing'
  logger.error(restored, message)
}

/** Throws StoreLockedError when another process has it. */
async function refuseLocked(directory: string, path: string): Promise<void> {
  const probe = new Level(path, { createIfMissing: false, errorIfExists: true })
  try {
    await probe.open()
    await probe.close()
  } catch (error) {
    if (codeOf(error) === 'LEVEL_LOCKED') throw lockedError(directory, error)
  }
}

function lockedError(directory: string, cause: unknown): StoreLockedError {
  return new StoreLockedError(`another process has the data directory ${directory} open`, { cause })
}

/** From here on it holds what is acknowledged, and is never made anew. */
async function finish(directory: string, unfinished: string): Promise<void> {
  if (!existsSync(unfinished)) return
  await rm(unfinished)
  await syncFolder(directory)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error && 'code' in error.cause
    ? error.cause.code
    : undefined
}

export interface SessionRow {
  repository: Repository
  algorithm: DigestAlgorithm
  touchedMs: number
  /** Set before the file may be given this digest's name: without its file, the session had been proven to be this blob. */
  finishing?: Digest
}

export interface PartialRow {
  size: number
  pieceBytes: number
  /** Pieces that were verified. */
  held: number[]
  writtenMs: number
  /** Where it was closed in order: by what it can be told whether its file was touched since. */
  closed?: ClosedPartial
}

export interface ClosedPartial {
  /** Of the host: what it had not written by its end may be lost. */
  boot: string
  inode: string
  mtimeNs: string
  /** SHA-256 of the hashes of all that is held, in order. */
  proof: string
}

/** A manifest that the collector found without a tag. */
export interface UntaggedRow {
  /** Since then. */
  sinceMs: number
  /** As `Untagged.statedMs` was. */
  statedMs: number
}

export type Tables = ReturnType<typeof openTables>

/**
 * - `links`: digest NUL repository → lease in milliseconds of the store's time, see `leases.ts`
 * - `references`: child NUL repository NUL parent → nothing
 * - `children`: parent NUL repository → the digests that this manifest refers to, so that they can be dropped with it
 * - `manifests`: digest → bytes
 * - `sessions`: upload id → SessionRow
 * - `partials`: digest → PartialRow
 * - `scrub`: `state` → ScrubState
 * - `sums`: digest → the blob's size and the sums of its blocks; they follow from the digest, so a row is never stale
 * - `untagged`: digest NUL repository → UntaggedRow
 * - `uses`: digest → when the blob was last used, by the store's time; one without a row was not used since it was written
 * - `facts`: name → what the store knows of itself
 */
export function openTables(database: Database) {
  return {
    links: database.sublevel<string, string>(['store', 'links'], {}),
    references: database.sublevel<string, string>(['store', 'references'], {}),
    children: database.sublevel<string, Digest[]>(['store', 'children'], { valueEncoding: 'json' }),
    manifests: database.sublevel<string, Uint8Array>(['store', 'manifests'], { valueEncoding: 'view' }),
    sessions: database.sublevel<string, SessionRow>(['store', 'sessions'], { valueEncoding: 'json' }),
    partials: database.sublevel<string, PartialRow>(['store', 'partials'], { valueEncoding: 'json' }),
    sums: database.sublevel<string, Uint8Array>(['store', 'sums'], { valueEncoding: 'view' }),
    untagged: database.sublevel<string, UntaggedRow>(['store', 'untagged'], { valueEncoding: 'json' }),
    uses: database.sublevel<string, string>(['store', 'uses'], {}),
    facts: database.sublevel<string, string>(['store', 'facts'], {}),
    scrub: database.sublevel<string, ScrubState>(['store', 'scrub'], { valueEncoding: 'json' }),
    /** What a dry run of the collector would remove; empty otherwise. */
    doomed: database.sublevel<string, string>(['store', 'doomed'], {}),
  }
}

export const timeKey = 'time'

/** The key under `links`, `children` and `untagged`. */
export const linkKey = (digest: Digest, repository: Repository): string => `${digest}\0${repository}`

export function parseLinkKey(key: string): { digest: Digest; repository: Repository } {
  const nul = key.indexOf('\0')
  return { digest: key.slice(0, nul) as Digest, repository: key.slice(nul + 1) as Repository }
}

export const referenceKey = (child: Digest, repository: Repository, parent: Digest): string =>
  `${child}\0${repository}\0${parent}`

/** All keys that begin with these parts. */
export function within(...parts: string[]): { gt: string; lt: string } {
  const prefix = parts.join('\0')
  return { gt: `${prefix}\0`, lt: `${prefix}\x01` }
}

/** All digests of which the hash begins with these two digits. */
export function shardRanges(shard: string): { gt: string; lt: string }[] {
  return ['sha256', 'sha512'].map((algorithm) => ({
    gt: `${algorithm}:${shard}`,
    lt: `${algorithm}:${shard}g`,
  }))
}

/** Whether `table` has a key that begins with these parts. */
export async function hasWithin(table: Tables['links' | 'references'], ...parts: string[]): Promise<boolean> {
  for await (const _ of table.keys({ ...within(...parts), limit: 1 })) return true
  return false
}
