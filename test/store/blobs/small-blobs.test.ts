/** Small blobs that are read again and again come from memory, for as long as their file is what was proven. */
import { readdir, readlink, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Digest } from '../../../src/oci/oci.ts'
import { SmallBlobs } from '../../../src/store/blobs/small-blobs.ts'
import { BlobFiles } from '../../../src/store/files/blob-files.ts'
import {
  digestOf,
  expectBytes,
  inChunks,
  openAt,
  push,
  readBlob,
  seededBytes,
  temporaryFolder,
} from '../scenery.ts'

async function openFiles(): Promise<string[]> {
  const fds = await readdir('/proc/self/fd')
  return await Promise.all(fds.map((fd) => readlink(join('/proc/self/fd', fd)).catch(() => '')))
}

it('gives a small blob from memory, and never after its file is gone or was written to', async () => {
  await using folder = await temporaryFolder()
  await using opened = await openAt(folder.path)
  const { store } = opened
  const files = new BlobFiles(folder.path)
  for (const harm of [(path: string) => rm(path), (path: string) => truncate(path, 10)]) {
    const bytes = seededBytes(4096, harm.toString().length)
    const digest = digestOf(bytes)
    const path = files.blobPath(digest)
    await push(store, bytes)
    expectBytes(await readBlob(store, digest), bytes)
    {
      await using again = await store.blobs.open(digest)
      expect((await openFiles()).filter((name) => name === path)).toEqual([])
      expectBytes(new Uint8Array(again?.bytes ?? []), bytes)
      const part: Uint8Array[] = []
      for await (const chunk of again?.chunks(100, 200) ?? []) part.push(Uint8Array.from(chunk))
      expectBytes(new Uint8Array(Buffer.concat(part)), bytes.slice(100, 200))
    }
    await harm(path)
    expect(await store.blobs.open(digest)).toBeUndefined()
  }
})

it('holds no more than it may, the ones read last', async () => {
  const small = new SmallBlobs(10_000)
  const read = async (seed: number): Promise<Digest> => {
    const bytes = seededBytes(4000, seed)
    for await (const _ of small.passing(digestOf(bytes), 4000, inChunks(bytes, 4000)));
    return digestOf(bytes)
  }
  const [first, second] = [await read(1), await read(2)]
  expect(small.find(first)?.size).toBe(4000)
  await read(3)
  expect([small.find(first)?.size, small.find(second)?.size, small.bytes <= 10_000]).toEqual([
    4000,
    undefined,
    true,
  ])
})
