import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { givenManifests } from '../../../node/cluster/given-manifests.ts'
import { type Digest, digestBytes } from '../../../src/oci/oci.ts'

const mebibyte = 1024 * 1024

function stored(...contents: Uint8Array[]) {
  const here = new Map(contents.map((bytes) => [digestBytes(bytes), bytes]))
  const reads: Digest[] = []
  const get = async (digest: Digest): Promise<Uint8Array | undefined> => {
    reads.push(digest)
    return here.get(digest)
  }
  return { here, reads, given: givenManifests({ get }), digests: [...here.keys()] }
}

it('reads a manifest once, however often its size is asked for, and however many of its pieces', async () => {
  const { given, reads, digests } = stored(Buffer.alloc(3 * mebibyte, 1))
  const [digest] = digests
  if (digest === undefined) throw new Error('one was stored')
  for (let times = 0; times < 5000; times++) expect(await given.stat(digest)).toEqual({ size: 3 * mebibyte })
  await using open = await given.open(digest)
  const pieces: Uint8Array[] = []
  for (let at = 0; at < 3 * mebibyte; at += 65_536) {
    for await (const chunk of open?.chunks(at, at + 65_536) ?? []) pieces.push(chunk)
  }
  expect(digestBytes(Buffer.concat(pieces))).toBe(digest)
  expect(reads).toEqual([digest])
})

it('keeps the sizes of those that it has no room for in memory', async () => {
  const { given, reads, digests } = stored(...[1, 2, 3, 4].map((fill) => Buffer.alloc(4 * mebibyte, fill)))
  for (let round = 0; round < 3; round++) for (const digest of digests) await given.stat(digest)
  expect(reads).toHaveLength(4)
  for (const digest of digests) await given.open(digest)
  expect(reads).toHaveLength(8)
})

it('does not say for long that one is here that has gone', async () => {
  const { given, here, digests } = stored(...[1, 2, 3].map((fill) => Buffer.alloc(4 * mebibyte, fill)))
  const [first, ...others] = digests
  if (first === undefined) throw new Error('some were stored')
  for (const digest of [first, ...others]) await given.stat(digest)
  here.delete(first)
  expect(await given.open(first)).toBeUndefined()
  expect(await given.stat(first)).toBeUndefined()
})

it('hashes the pieces of a manifest', async () => {
  const bytes = Buffer.alloc(100_000, 7)
  const { given, digests } = stored(bytes)
  const hash = (part: Uint8Array): Buffer => createHash('sha256').update(part).digest()
  const hashes = Buffer.concat([hash(bytes.subarray(0, 65_536)), hash(bytes.subarray(65_536))])
  expect(await given.hashPieces(digests[0] as Digest)).toEqual(hashes)
  expect(await given.hashPieces(digestBytes(Buffer.from('another')))).toBeUndefined()
})
