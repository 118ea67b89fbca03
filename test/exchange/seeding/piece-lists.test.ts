import { describe, expect, it } from 'vitest'
import { type Logger, silentLogger } from '../../../src/base/base.ts'
import { decodePieceList, pieceListDomain, prefixOf } from '../../../src/exchange/protocol/piece-list.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import type { HashPieces } from '../../../src/exchange/seeding/list-making.ts'
import { PieceLists } from '../../../src/exchange/seeding/piece-lists.ts'
import type { Digest } from '../../../src/oci/oci.ts'
import { createVerifier, identityFromSeed } from '../../../src/wire/wire.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'
import { digestOf, pieceHashes, someBytes } from '../lab/fixture.ts'

const mebibyte = 1024 * 1024
const identity = identityFromSeed(Buffer.alloc(32, 1))

interface Made {
  lists: PieceLists
  kept: Map<Digest, Uint8Array>
  clock: SteppedClock
  stop: AbortController
}

function listsOver(hashPieces: HashPieces, logger: Logger = silentLogger): Made {
  const kept = new Map<Digest, Uint8Array>()
  const [clock, stop] = [new SteppedClock(), new AbortController()]
  const lists = new PieceLists({
    identity,
    storage: {
      get: async (digest) => kept.get(digest),
      put: async (digest, list) => void kept.set(digest, list),
      delete: async (digest) => void kept.delete(digest),
    },
    verifier: createVerifier(pieceListDomain),
    hashPieces,
    clock,
    logger,
    signal: stop.signal,
  })
  return { lists, kept, clock, stop }
}

/** Hashing that goes on when it is told to, one turn at a time. */
function inTurns(hashOf: (digest: Digest) => Uint8Array): {
  hashPieces: HashPieces
  turns: [digest: Digest, from: number, to: number][]
  /** A turn has begun that has not ended. */
  began(): Promise<void>
  next(): Promise<void>
} {
  const turns: [Digest, number, number][] = []
  let gate = Promise.withResolvers<void>()
  let begun = Promise.withResolvers<void>()
  return {
    turns,
    async hashPieces(digest, { from, to }) {
      turns.push([digest, from, to])
      begun.resolve()
      await gate.promise
      return hashOf(digest).slice(32 * from, 32 * to)
    },
    began: () => begun.promise,
    /** Ends the turn that is going on. */
    async next() {
      await begun.promise
      begun = Promise.withResolvers()
      gate.resolve()
      gate = Promise.withResolvers()
    },
  }
}

describe('the lists of stored blobs', () => {
  it('are made anew where kept ones are of another format, which is said once for all of them', async () => {
    const blobs = new Map([1, 2, 3].map(() => someBytes(200_000)).map((bytes) => [digestOf(bytes), bytes]))
    const said: string[] = []
    const logger: Logger = {
      ...silentLogger,
      info: () => void said.push('info'),
      warn: () => void said.push('warn'),
    }
    const hashPieces: HashPieces = async (digest) => pieceHashes(blobs.get(digest) ?? new Uint8Array())
    const { lists, kept } = listsOver(hashPieces, logger)
    for (const digest of blobs.keys()) kept.set(digest, someBytes(300))
    for (const [digest, bytes] of blobs) {
      expect(Buffer.compare((await lists.get(digest, bytes.length)).hashes, pieceHashes(bytes))).toBe(0)
      expect(await lists.find(digest)).toHaveLength(1)
    }
    expect(said).toEqual(['info'])
  })

  it('are given in sections that go on from each other while they are made, and whole in the end', async () => {
    const bytes = someBytes(20 * mebibyte)
    const [digest, size, hashes] = [digestOf(bytes), bytes.length, pieceHashes(bytes)]
    const perTurn = (8 * mebibyte) / layoutOf(size).pieceBytes
    const { hashPieces, next } = inTurns(() => hashes)
    const { lists, clock, kept } = listsOver(hashPieces)
    const making = lists.follow(digest, size)
    const section = async (from: number) => {
      const asked = lists.listFrom(making, from)
      if (from > 0) await clock.pass(50)
      return decodePieceList((await asked).bytes)
    }
    const first = section(0)
    await next()
    expect(await first).toMatchObject({ author: identity.peerId, after: prefixOf({ hashes }, 0) })
    expect(Buffer.compare((await first).hashes, hashes.subarray(0, 32 * perTurn))).toBe(0)
    const second = section(perTurn)
    await next()
    expect((await second).after).toEqual(prefixOf({ hashes }, perTurn))
    expect(Buffer.compare((await second).hashes, hashes.subarray(32 * perTurn, 64 * perTurn))).toBe(0)
    // Who asks for less than is known is given all of that.
    expect((await section(3)).hashes).toHaveLength(32 * (2 * perTurn - 3))
    expect(kept.size).toBe(0)
    const third = section(2 * perTurn)
    await next()
    expect((await third).after).toBeUndefined()
    expect(Buffer.compare((await third).hashes, hashes)).toBe(0)
    expect(kept.has(digest)).toBe(true)
  })

  it('are given whole where the rest takes no longer than a moment', async () => {
    const bytes = someBytes(20 * mebibyte)
    const { hashPieces, next } = inTurns(() => pieceHashes(bytes))
    const { lists } = listsOver(hashPieces)
    const making = lists.follow(digestOf(bytes), bytes.length)
    const first = lists.listFrom(making, 0)
    await next()
    expect((await first).after).toBeDefined()
    const rest = lists.listFrom(making, 1)
    for (let turn = 1; turn < 3; turn++) await next()
    expect((await rest).after).toBeUndefined()
  })

  it('are made in turns, so that a large blob does not hold up a small one', async () => {
    const [large, small] = [digestOf(Buffer.from('large')), digestOf(Buffer.from('small'))]
    const { hashPieces, turns, next } = inTurns(() => new Uint8Array(32 * 4096))
    const { lists } = listsOver(hashPieces)
    const making = lists.get(large, 32 * mebibyte)
    await next()
    const asked = lists.get(small, 1000)
    await next()
    await next()
    expect((await asked).hashes).toHaveLength(32)
    await next()
    await next()
    await making
    expect(turns.map(([digest]) => digest).indexOf(small)).toBeLessThan(3)
    expect(turns).toHaveLength(5)
  })

  it('end with the node, and when what was read may have been rotten, and are made from the beginning then', async () => {
    const size = 32 * mebibyte
    const digest = digestOf(Buffer.from('a blob'))
    const { hashPieces, turns, next } = inTurns(() => new Uint8Array(32 * 4096))
    const { lists, kept, stop } = listsOver(hashPieces)
    const rotten = lists.get(digest, size)
    const section = lists.listFrom(lists.follow(digest, size), 0)
    section.catch(() => undefined)
    await lists.drop(digest)
    await next()
    await expect(rotten).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' })
    await expect(section).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' })
    const again = lists.get(digest, size)
    again.catch(() => undefined)
    stop.abort(new Error('the node stops'))
    await next()
    await expect(again).rejects.toThrow('the node stops')
    expect(turns.map(([, from]) => from)).toEqual([0, 0])
    expect(kept.size).toBe(0)
  })

  it('are made as long as somebody waits for them, who may be another than who began', async () => {
    const size = 32 * mebibyte
    const digest = digestOf(Buffer.from('a blob'))
    const { hashPieces, turns, began, next } = inTurns(() => new Uint8Array(32 * 4096))
    const { lists } = listsOver(hashPieces)
    const first = lists.follow(digest, size)
    await next()
    await began()
    first.leave()
    const second = lists.follow(digest, size)
    expect(second).toBe(first)
    await next()
    await began()
    second.leave()
    await next()
    await expect(second.whole).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' })
    expect(turns.map(([, from]) => from)).toEqual([0, 64, 128])
  })
})
