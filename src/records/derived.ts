/** What is written beside a record, so that the registry's questions are one read: it follows from the record alone. */
import { crc32 } from 'node:zlib'
import { peerIdOf } from '../wire/wire.ts'
import type { ManifestEntry, TagEntry } from './entries.ts'
import { authorOf, keyText, type SignedRecord } from './record.ts'
import { afterTime, manifestAt, referrerAt, tagAt, tagOfAt, tombstoneAt } from './storage.ts'

/** The rows of a record, but for how many manifests its repository has. */
export function rowsOf(record: SignedRecord): Map<string, string> {
  const { key, body } = record
  const rows = new Map<string, string>()
  const entry = entryOf(record)
  if (entry === undefined) {
    if (body.value === null && key.kind !== 'account') rows.set(tombstoneAt(body.time[0], keyText(key)), '')
  } else if (key.kind === 'tag') {
    const at = tagAt(key.repository, key.tag)
    rows.set(at, encodeRow(at, entry))
    rows.set(tagOfAt(key.repository, entry.digest, key.tag), '')
  } else if (key.kind === 'manifest') {
    const at = manifestAt(key.repository, key.digest)
    rows.set(at, encodeRow(at, entry))
    if ('subject' in entry && entry.subject !== undefined)
      rows.set(referrerAt(key.repository, entry.subject, key.digest), '')
  }
  return rows
}

/** `undefined` for what is not a live tag or manifest. */
export function entryOf(record: SignedRecord): TagEntry | ManifestEntry | undefined {
  const { key, body } = record
  const by = 'by' in body && body.by !== undefined ? { by: body.by } : {}
  const written = { writtenMs: body.time[0], author: peerIdOf(authorOf(record)), ...by }
  if (key.kind === 'tag' && body.kind === 'tag' && body.value !== null) return { ...body.value, ...written }
  if (key.kind === 'manifest' && body.kind === 'manifest' && body.value !== null)
    return { digest: key.digest, ...body.value, ...written }
  return undefined
}

/** The key of the record from which a row must follow; `undefined` for a name that no row has. */
export function sourceOf(row: string): string | undefined {
  const rest = row.slice(1)
  if (row.startsWith('T')) return `t${rest}`
  if (row.startsWith('M')) return `m${rest}`
  if (row.startsWith('x')) return afterTime(row).key
  const [, repository, subject, last] = /^([^@]*)@(\S+) (\S+)$/.exec(rest) ?? []
  if (subject === undefined) return undefined
  return row.startsWith('D') ? `t${repository}:${last}` : `m${repository}@${last}`
}

/** The sum covers the name, too: a row may be found where another belongs. */
const sumOf = (at: string, json: string): string => crc32(`${at} ${json}`).toString(16).padStart(8, '0')
const tailLength = ',"crc":"00000000"}'.length

/** As JSON, with a sum as its last member. */
function encodeRow(at: string, entry: TagEntry | ManifestEntry): string {
  const json = JSON.stringify(entry)
  return `${json.slice(0, -1)},"crc":"${sumOf(at, json)}"}`
}

/** As earlier versions wrote it. */
export function withoutSum(row: string): string {
  return row === '' ? row : `${row.slice(0, -tailLength)}}`
}

/** `undefined` where it is not what was written, or was written without a sum by an earlier version. */
export function decodeRow<T>(at: string, row: string): T | undefined {
  const json = `${row.slice(0, -tailLength)}}`
  if (row.slice(-tailLength) !== `,"crc":"${sumOf(at, json)}"}`) return undefined
  return JSON.parse(json) as T
}
