import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodePieceList,
  maxPieceListBytes,
  openPieceList,
  pieceHash,
  pieceListDomain,
  pieceListLimit,
  signPieceList,
} from '../../../src/exchange/protocol/piece-list.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import { digestBytes } from '../../../src/oci/oci.ts'
import {
  bytes,
  codec,
  createVerifier,
  identityFromSeed,
  seal,
  struct,
  text,
  uint,
} from '../../../src/wire/wire.ts'

const identity = identityFromSeed(new Uint8Array(32).fill(7))
const digest = digestBytes(Buffer.from('a blob'))
const size = 75 * 1024
const hashes = new Uint8Array(64).map((_, at) => at)
const signed = signPieceList({ digest, size, hashes }, identity)
const verifier = createVerifier(pieceListDomain)
const malformed = expect.objectContaining({ code: 'MALFORMED' })

/** What `signPieceList` would not write. */
function sealed(
  body: { digest: string; pieces: Uint8Array; size: number },
  domain = pieceListDomain,
): Uint8Array {
  const loose = struct({ digest: text({ max: 999 }), pieces: bytes({ max: 9999 }), size: uint() })
  return seal(domain, codec(loose, { maxBytes: 99_999 }).encode(body), identity)
}

describe('a piece list', () => {
  it('has these bytes', () => {
    expect(Buffer.from(signed.bytes.subarray(96)).toString('hex')).toBe(
      'a36473697a651a00012c006664696765737478477368613235363a35353730613363663032323037663164333532643263666561333835626534626330623262393431346636303662616136663535646236306232333266323231667069656365735840000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f',
    )
    expect(createHash('sha256').update(signed.bytes).digest('hex')).toBe(
      '4931fc9e88fc0b5876d7bccfba3cbe9678e8aedb2fc2fff97c18f6fc0e78ac5d',
    )
  })

  it('says who vouches for which hashes, wherever it came from', async () => {
    const opened = await openPieceList(signed.bytes, { digest, size }, verifier)
    expect(opened).toEqual({
      digest,
      layout: layoutOf(size),
      hashes,
      author: identity.peerId,
      bytes: signed.bytes,
    })
    expect(pieceHash(opened, 1)).toEqual(hashes.subarray(32))
    expect(() => pieceHash(opened, 2)).toThrow(RangeError)
  })

  it('survives the way there and back, at any size', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 23 }), fc.integer({ min: 0, max: 255 }), (size, fill) => {
        const hashes = new Uint8Array(layoutOf(size).count * 32).fill(fill)
        const list = signPieceList({ digest, size, hashes }, identity)
        expect(list.bytes.length).toBeLessThanOrEqual(pieceListLimit(size))
        expect(decodePieceList(list.bytes)).toEqual(list)
      }),
      { numRuns: 25 },
    )
  })

  it('is not believed when a bit was changed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: signed.bytes.length * 8 - 1 }), async (bit) => {
        const changed = signed.bytes.slice()
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        await expect(openPieceList(changed, { digest, size }, verifier)).rejects.toThrow(
          expect.objectContaining({ code: expect.stringMatching(/^(MALFORMED|BAD_SIGNATURE)$/) }),
        )
      }),
      { numRuns: 60 },
    )
  })

  it('is read or refused as malformed, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        expect(() => decodePieceList(noise)).toThrow(malformed)
      }),
    )
  })

  it.each([
    ['one hash too few', sealed({ digest, pieces: new Uint8Array(32), size })],
    ['one hash too many', sealed({ digest, pieces: new Uint8Array(96), size })],
    ['half a hash', sealed({ digest, pieces: new Uint8Array(63), size })],
    ['a size that is none', sealed({ digest, pieces: hashes, size: 2 ** 40 + 1 })],
    ['a huge size and few hashes', sealed({ digest, pieces: hashes, size: 2 ** 40 })],
    ['what is not a digest', sealed({ digest: 'sha256:0', pieces: hashes, size })],
    ['nothing', new Uint8Array()],
    ['a signature and nothing else', signed.bytes.slice(0, 96)],
    ['more bytes than any list has', new Uint8Array(maxPieceListBytes + 1)],
  ])('is refused with %s', (_, list) => {
    expect(() => decodePieceList(list)).toThrow(malformed)
  })

  it('is refused for another blob, for another size, and with a signature for something else', async () => {
    const other = digestBytes(Buffer.from('another'))
    await expect(openPieceList(signed.bytes, { digest: other }, verifier)).rejects.toThrow(malformed)
    await expect(openPieceList(signed.bytes, { digest, size: size - 1 }, verifier)).rejects.toThrow(malformed)
    await expect(
      openPieceList(sealed({ digest, pieces: hashes, size }, 'shoal-record-v1\0'), { digest }, verifier),
    ).rejects.toThrow(expect.objectContaining({ code: 'BAD_SIGNATURE' }))
  })

  it('is not signed when its hashes are not those that the size asks for', () => {
    expect(() => signPieceList({ digest, size: 1, hashes }, identity)).toThrow(malformed)
  })
})
