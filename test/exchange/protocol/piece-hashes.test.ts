import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { listPackLimit, openLists, packLists } from '../../../src/exchange/protocol/list-pack.ts'
import { PieceHashes } from '../../../src/exchange/protocol/piece-hashes.ts'
import {
  decodePieceList,
  pieceListDomain,
  prefixOf,
  type SignedPieceList,
  signPieceList,
} from '../../../src/exchange/protocol/piece-list.ts'
import { layoutOf, minPieceBytes } from '../../../src/exchange/protocol/piece-size.ts'
import { digestBytes } from '../../../src/oci/oci.ts'
import { createVerifier, identityFromSeed } from '../../../src/wire/wire.ts'

const count = 12
const size = count * minPieceBytes - 5
const layout = layoutOf(size)
const digest = digestBytes(Buffer.from('a blob'))
const hashes = new Uint8Array(count * 32).map((_, at) => at >> 5)
const [ann, ben] = [identityFromSeed(Buffer.alloc(32, 1)), identityFromSeed(Buffer.alloc(32, 2))]
const verifier = createVerifier(pieceListDomain)
const malformed = expect.objectContaining({ code: 'MALFORMED' })

function hashAt(piece: number): Uint8Array {
  return hashes.subarray(piece * 32, piece * 32 + 32)
}

/** Hashes of the pieces from `from` to `to`, signed as what follows on those before. */
function section(from: number, to: number, identity = ann, all = hashes): SignedPieceList {
  const after = prefixOf({ hashes: all }, from)
  return signPieceList({ digest, size, hashes: all.subarray(from * 32, to * 32), after }, identity)
}

/** What a node knows that received so many pieces from outside. */
function grown(pieces: number): PieceHashes {
  const list = new PieceHashes(digest, layout)
  for (let piece = 0; piece < pieces; piece++) list.append(hashAt(piece))
  return list
}

describe('a section of a piece list', () => {
  it('has these bytes', () => {
    const list = signPieceList({ digest, size, hashes: hashAt(1), after: prefixOf({ hashes }, 1) }, ann)
    expect(Buffer.from(list.bytes.subarray(96)).toString('hex')).toMatchInlineSnapshot(
      `"a46473697a651a000bfffb656166746572a266686173686573582066687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f292566706965636573016664696765737478477368613235363a353537306133636630323230376631643335326432636665613338356265346263306232623934313466363036626161366635356462363062323332663232316670696563657358200101010101010101010101010101010101010101010101010101010101010101"`,
    )
    expect(decodePieceList(list.bytes)).toEqual(list)
  })

  it.each([
    ['no hash at all', { from: 0, bytes: 0 }],
    ['half a hash', { from: 0, bytes: 31 }],
    ['more pieces than there are', { from: 11, bytes: 64 }],
    ['a beginning behind the end', { from: 12, bytes: 32 }],
  ])('is not signed with %s', (_, { from, bytes }) => {
    const after = { pieces: from, hashes: new Uint8Array(32) }
    const signing = () => signPieceList({ digest, size, hashes: new Uint8Array(bytes), after }, ann)
    expect(signing).toThrow(malformed)
  })
})

describe('the hashes of a blob that comes from outside', () => {
  it('are signed once, by whoever received them, and join to all of them, however they were cut and handed on', () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: count - 1 }), { maxLength: 5 })
    fc.assert(
      fc.property(cuts, fc.integer({ min: 0, max: count - 1 }), (ends, known) => {
        const giver = new PieceHashes(digest, layout)
        for (const end of [...ends, count].sort((a, b) => a - b)) {
          while (giver.known < end) giver.append(hashAt(giver.known))
          expect(giver.seal(ann)).toBe(true)
          expect(giver.seal(ann)).toBe(false)
        }
        expect(giver.lists).toHaveLength(ends.length + 1)
        const taker = grown(known)
        taker.seal(ben)
        for (const list of giver.listsFrom(known)) {
          expect(taker.fits(list)).toBe(true)
          taker.add(list)
        }
        expect(taker.complete).toBe(true)
        expect(Buffer.compare(taker.hashes, hashes)).toBe(0)
        expect(PieceHashes.of(taker.lists)?.complete).toBe(true)
      }),
    )
  })

  it('go on only from what their author meant', () => {
    const other = hashes.slice()
    other[0] = 99
    const list = grown(4)
    expect(list.fits(section(4, 6))).toBe(true)
    expect(list.fits(section(2, 6))).toBe(true)
    expect(list.fits(section(4, 6, ben, other))).toBe(false)
    expect(list.fits(section(0, 6, ben, other))).toBe(false)
    expect(list.fits(section(5, 6))).toBe(false)
    expect(PieceHashes.of([section(0, 2), section(4, 6)])).toBeUndefined()
    expect(PieceHashes.of([section(2, 6)])).toBeUndefined()
  })

  it('are signed here before another goes on from there', () => {
    const list = grown(4)
    list.add(section(4, 6, ben))
    expect(list.known).toBe(4)
    list.seal(ann)
    list.add(section(4, 6, ben))
    expect(list.known).toBe(6)
    expect(list.lists.map(({ author }) => author)).toEqual([ann.peerId, ben.peerId])
  })

  it('are one list as soon as somebody vouches for all of them', () => {
    const list = grown(4)
    list.seal(ann)
    list.add(signPieceList({ digest, size, hashes }, ben))
    expect(list.lists.map(({ author, after }) => [author, after])).toEqual([[ben.peerId, undefined]])
    expect(list.complete).toBe(true)
  })
})

describe('lists on their way', () => {
  const lists = [section(0, 3), section(3, 4, ben), section(4, 12)]

  it('come as they were sent', async () => {
    const opened = await openLists(packLists(lists), { digest, size }, verifier)
    expect(opened).toEqual(lists)
  })

  it('are as many as fit, and one at least', async () => {
    const all = packLists(lists)
    const two = packLists(lists, all.length - 1)
    expect(await openLists(two, { digest, size }, verifier)).toEqual(lists.slice(0, 2))
    expect(await openLists(packLists(lists, 1), { digest, size }, verifier)).toEqual(lists.slice(0, 1))
    expect(all.length).toBeLessThan(listPackLimit(size))
  })

  it('are 256 at most, but for what is kept here', async () => {
    const many = Array.from({ length: 257 }, () => section(0, 3))
    const all = packLists(many, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
    await expect(openLists(all, { digest, size }, verifier)).rejects.toThrow(malformed)
    const most = Number.POSITIVE_INFINITY
    expect(await openLists(all, { digest, size, most }, verifier)).toHaveLength(257)
    expect(await openLists(packLists(many), { digest, size }, verifier)).toHaveLength(256)
  })

  it('are read or refused, whatever the bytes', async () => {
    const refusals = expect.objectContaining({ code: expect.stringMatching(/^(MALFORMED|BAD_SIGNATURE)$/) })
    const pack = packLists(lists)
    await expect(openLists(new Uint8Array(), { digest, size }, verifier)).rejects.toThrow(malformed)
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: pack.length * 8 - 1 }), async (bit) => {
        const changed = pack.slice()
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        await expect(openLists(changed, { digest, size }, verifier)).rejects.toThrow(refusals)
      }),
      { numRuns: 60 },
    )
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (noise) => {
        await expect(openLists(noise, { digest, size }, verifier)).rejects.toThrow(malformed)
      }),
    )
  })
})
