/** LevelDB as `classic-level` has it inside: what its owner overrides, and what it tells nobody but its own LOG. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { orMissing } from '../files/blob-files.ts'

export type Bytes = string | Uint8Array
export type Operation = { type: 'put'; key: Bytes; value: Bytes } | { type: 'del'; key: Bytes }

/** What abstract-level documents for implementors, and its types leave out. Keys and values come encoded. */
export interface Engine extends Level<string, string> {
  _open(options: object): Promise<void>
  _close(): Promise<void>
  _get(key: Bytes, options: object): Promise<unknown>
  _getSync(key: Bytes, options: object): unknown
  _getMany(keys: Bytes[], options: object): Promise<unknown[]>
  _has(key: Bytes, options: object): Promise<boolean>
  _hasMany(keys: Bytes[], options: object): Promise<boolean[]>
  _put(key: Bytes, value: Bytes, options: { sync?: boolean }): Promise<void>
  _del(key: Bytes, options: { sync?: boolean }): Promise<void>
  _batch(operations: Operation[], options: { sync?: boolean }): Promise<void>
  _clear(options: object): Promise<void>
  _chainedBatch(): unknown
  _iterator(options: object): unknown
  _keys(options: object): unknown
  _values(options: object): unknown
  _snapshot(options: object): unknown
}

export const Engine = Level as unknown as new (location: string, options: object) => Engine

/**
 * LevelDB maps each table that it has open: 64 of 1 MiB, less than which it does not take, where a million rows took 86 MiB by its
 * own sizes. What it holds of rows that were read or written last is 2 MiB each.
 */
export const levelSizes = {
  maxFileSize: 2 ** 20,
  maxOpenFiles: 74,
  cacheSize: 2 * 2 ** 20,
  writeBufferSize: 2 * 2 ** 20,
}
/** Gathers its operations for `_batch`, as LevelDB's own chained batch would not. */
export const { _chainedBatch: gatheringBatch } = Object.getPrototypeOf(Level.prototype) as Engine

/** What `classic-level` has beside what every `Level` has. */
export const { repair } = Level as unknown as { repair(location: string): Promise<void> }

/** All of it, in the order of its rows' age, whichever table they are in. */
export async function compactAll(location: string): Promise<void> {
  const database = new Level(location, levelSizes) as Level & {
    compactRange(start: Uint8Array, end: Uint8Array, options: { keyEncoding: 'buffer' }): Promise<void>
  }
  await database.compactRange(Buffer.alloc(1), Buffer.alloc(64, 0xff), { keyEncoding: 'buffer' })
  await database.close()
}

interface Reading {
  _next(): Promise<unknown>
  _nextv(size: number, options: object): Promise<unknown>
  _all(options: object): Promise<unknown>
}

/** Hands what reading by an iterator throws to `onError`, which says what to throw instead. */
export function watchIterator(iterator: unknown, onError: (error: unknown) => unknown): unknown {
  const reading = iterator as Reading
  const [next, nextv, all] = [reading._next, reading._nextv, reading._all]
  const watched = async <T>(read: Promise<T>): Promise<T> => {
    try {
      return await read
    } catch (error) {
      throw onError(error)
    }
  }
  reading._next = () => watched(next.call(reading))
  reading._nextv = (size, options) => watched(nextv.call(reading, size, options))
  reading._all = (options) => watched(all.call(reading, options))
  return reading
}

/** Whether LevelDB met a block that is none, or a table that is shorter than it was (`util/env_posix.cc`, `PosixMmapReadableFile`). */
export function isDamage(error: unknown): boolean {
  for (let reason = error; reason instanceof Error; reason = reason.cause) {
    const code = 'code' in reason ? reason.code : undefined
    if (code === 'LEVEL_CORRUPTION') return true
    if (code === 'LEVEL_IO_ERROR' && reason.message.endsWith('.ldb: Invalid argument')) return true
  }
  return false
}

export type Resource = Parameters<Engine['attachResource']>[0]

/** Closes an iterator or a snapshot under its reader, who is told `why` where it reads on. */
export async function cutOff(reader: Resource, why: Error): Promise<void> {
  const refuse = async (): Promise<never> => {
    throw why
  }
  if ('next' in reader) Object.assign(reader, { next: refuse, nextv: refuse, all: refuse })
  await reader.close()
}

/** Keys and values as bytes. */
export const raw = { keyEncoding: 'buffer', valueEncoding: 'buffer' }

/** What the last opening said of bytes that it skipped: LevelDB tells nobody but its own LOG. */
export async function droppedIn(location: string): Promise<string[]> {
  const text = await orMissing(readFile(join(location, 'LOG'), 'utf8'))
  return (text ?? '').split('\n').filter((line) => /: dropping \d+ bytes; /.test(line))
}
