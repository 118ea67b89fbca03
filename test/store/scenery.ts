/** What the store's tests share: temporary folders, a clock that is moved by hand, and bodies of every kind. */
import { equal } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Clock } from '../../src/base/base.ts'
import { type Digest, type DigestAlgorithm, parseDigest, parseRepository } from '../../src/oci/oci.ts'
import {
  type FileStore,
  type OpenBlob,
  openDatabase,
  openStore,
  type Store,
  type StoreOptions,
} from '../../src/store/store.ts'

export const graceMs = 60_000
/** Of each store that the contract is run against. */
export const limits = { maxBlobBytes: 4 * 1024 * 1024, maxSessions: 8 }
export const team = parseRepository('team/app')
export const other = parseRepository('other/app')

export interface HandClock extends Clock {
  advance(ms: number): void
}

export function handClock(): HandClock {
  let now = 1_700_000_000_000
  return {
    now: () => now,
    advance: (ms) => {
      now += ms
    },
    sleep: () => Promise.reject(new Error('this clock does not sleep')),
  }
}

export interface Folder extends AsyncDisposable {
  path: string
}

export async function temporaryFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'shoal-store-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

export interface Opened extends AsyncDisposable {
  store: FileStore
}

/** A file store and its database, closed together. */
export async function openAt(
  directory: string,
  options: Partial<Omit<StoreOptions, 'directory' | 'database'>> = {},
): Promise<Opened> {
  await using stack = new AsyncDisposableStack()
  const database = stack.adopt(await openDatabase(directory), (opened) => opened.close())
  const store = stack.use(
    await openStore({ directory, database, minFreeBytes: 0, graceMs, workers: 1, ...options }),
  )
  const kept = stack.move()
  return { store, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return parseDigest(`${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`)
}

/** Bytes that look random and are the same for the same seed. */
export function seededBytes(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  let state = seed * 2_654_435_761 + 1
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[index] = state >>> 24
  }
  return bytes
}

/** Yields copies, so that the body can be given away. */
export async function* inChunks(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.slice(start, start + size)
}

/** Yields its bytes, tells that they were taken, and hangs until it is let go. */
export function stalling(bytes: Uint8Array): {
  body: AsyncIterable<Uint8Array>
  taken: Promise<void>
  returned: Promise<void>
} {
  const taken = Promise.withResolvers<void>()
  const returned = Promise.withResolvers<void>()
  let given = false
  return {
    body: {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          if (!given) {
            given = true
            return { done: false, value: bytes.slice() }
          }
          taken.resolve()
          return await new Promise<never>(() => undefined)
        },
        return: async () => {
          returned.resolve()
          return { done: true, value: undefined }
        },
      }),
    },
    taken: taken.promise,
    returned: returned.promise,
  }
}

export async function* failing(bytes: Uint8Array, error: Error): AsyncGenerator<Uint8Array> {
  yield* inChunks(bytes)
  throw error
}

export async function readAll(blob: OpenBlob, start = 0, end = blob.size): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of blob.chunks(start, end)) chunks.push(Uint8Array.from(chunk))
  return new Uint8Array(Buffer.concat(chunks))
}

export async function readBlob(store: Store, digest: Digest): Promise<Uint8Array | undefined> {
  const blob = await store.blobs.open(digest)
  if (blob === undefined) return undefined
  await using open = blob
  return await readAll(open)
}

/** Uploads bytes as a client would; returns their digest. */
export async function push(store: Store, bytes: Uint8Array, repository = team): Promise<Digest> {
  const digest = digestOf(bytes)
  const { id } = await store.uploads.create(repository)
  await store.uploads.append(repository, id, inChunks(bytes))
  await store.uploads.finish(repository, id, digest)
  return digest
}

/** Stores a manifest that refers to `references`, made unique by `name`. */
export async function pushManifest(
  store: Store,
  name: string,
  references: Digest[],
  repository = team,
): Promise<Digest> {
  const bytes = new TextEncoder().encode(JSON.stringify({ name, references }))
  const digest = digestOf(bytes)
  await store.manifests.put({ repository, digest, bytes, references, required: references })
  return digest
}

/** Compares whole buffers at once: element by element takes seconds for a megabyte. */
export function expectBytes(actual: Uint8Array | undefined, expected: Uint8Array): void {
  equal(actual?.length, expected.length)
  equal(Buffer.compare(actual ?? new Uint8Array(), expected), 0, 'the bytes differ')
}

export async function listAll<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
