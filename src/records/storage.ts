/**
 * Where a ledger's entries stand in its LevelDB sublevel, by first letter:
 *
 *     r KEY                      the current record, as signed
 *     h POSITION                 its hash (32 bytes) and KEY, in order of the hash of KEY: what reconciliation walks
 *     T repository:tag           a live tag's entry         D repository@digest tag      the live tags of a digest
 *     M repository@digest        a live manifest's entry    S repository@subject digest  live referrers
 *     C repository               how many live manifests
 *     x MS KEY                   current tombstones by time
 *     g KEY, y MS KEY            buried tombstones, and those by time
 *     u KEY                      the record of a key that this code cannot read (set-aside.ts)
 *     a AUTHOR                   when the first record of an author came; the public key as hex digits
 *     z NAME                     small facts about this ledger
 */
import { hash } from 'node:crypto'
import type { Level } from 'level'

/** The part of the node's database that belongs to its ledger alone. */
export type Database = ReturnType<typeof recordsOf>

export function recordsOf(db: Level) {
  return db.sublevel<string, string>('records', { keyEncoding: 'utf8', valueEncoding: 'utf8' })
}

export const recordAt = (key: string): string => `r${key}`
export const positionAt = (position: string): string => `h${position}`
export const buriedAt = (key: string): string => `g${key}`
export const tombstoneAt = (ms: number, key: string): string => `x${sortable(ms)}${key}`
export const buriedTimeAt = (ms: number, key: string): string => `y${sortable(ms)}${key}`
export const tagAt = (repository: string, tag: string): string => `T${repository}:${tag}`
export const manifestAt = (repository: string, digest: string): string => `M${repository}@${digest}`
export const tagOfAt = (repository: string, digest: string, tag: string): string =>
  `D${repository}@${digest} ${tag}`
export const referrerAt = (repository: string, subject: string, digest: string): string =>
  `S${repository}@${subject} ${digest}`
export const countAt = (repository: string): string => `C${repository}`
export const unreadableAt = (key: string): string => `u${key}`
export const authorAt = (author: string): string => `a${author}`
export const policySeenAt = 'zpolicy-seen'
export const authorityAt = 'zauthority'
export const contestedAt = 'zcontested'
export const handingOverAt = 'zhanding-over'

/** Sorts after every name that continues a prefix: names are ASCII. */
export const end = '\u007f'

const msDigits = 12

export function sortable(ms: number): string {
  return ms.toString(16).padStart(msDigits, '0')
}

/** The key behind a time of `tombstoneAt` or `buriedTimeAt`. */
export function afterTime(entry: string): { ms: number; key: string } {
  return { ms: Number.parseInt(entry.slice(1, 1 + msDigits), 16), key: entry.slice(1 + msDigits) }
}

/** Where a key stands in reconciliation: 32 hex digits, evenly spread. */
export function positionOf(key: string): string {
  return hash('sha256', key, 'hex').slice(0, 32)
}
