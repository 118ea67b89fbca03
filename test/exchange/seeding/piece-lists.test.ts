import { expect, it } from 'vitest'
import { type Logger, silentLogger } from '../../../src/base/base.ts'
import { pieceListDomain } from '../../../src/exchange/protocol/piece-list.ts'
import { PieceLists } from '../../../src/exchange/seeding/piece-lists.ts'
import type { Digest } from '../../../src/oci/oci.ts'
import { createVerifier, identityFromSeed } from '../../../src/wire/wire.ts'
import { digestOf, pieceHashes, someBytes } from '../lab/fixture.ts'

it('makes kept lists anew that are of another format, and says so once for all of them', async () => {
  const blobs = new Map([1, 2, 3].map(() => someBytes(200_000)).map((bytes) => [digestOf(bytes), bytes]))
  const kept = new Map<Digest, Uint8Array>([...blobs.keys()].map((digest) => [digest, someBytes(300)]))
  const said: string[] = []
  const logger: Logger = {
    ...silentLogger,
    info: () => void said.push('info'),
    warn: () => void said.push('warn'),
  }
  const lists = new PieceLists({
    identity: identityFromSeed(Buffer.alloc(32, 1)),
    storage: {
      get: async (digest) => kept.get(digest),
      put: async (digest, list) => void kept.set(digest, list),
      delete: async (digest) => void kept.delete(digest),
    },
    verifier: createVerifier(pieceListDomain),
    hashPieces: async (digest) => pieceHashes(blobs.get(digest) ?? new Uint8Array()),
    logger,
  })
  for (const [digest, bytes] of blobs) {
    expect(Buffer.compare((await lists.get(digest, bytes.length)).hashes, pieceHashes(bytes))).toBe(0)
    expect(await lists.find(digest)).toHaveLength(1)
  }
  expect(said).toEqual(['info'])
})
