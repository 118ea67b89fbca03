/** What a reader gave before the piece was proven, compared with the piece. */
import { describe, expect, it } from 'vitest'
import { type ComingPiece, UnverifiedPrefix } from '../../../src/exchange/transfer/unverified-prefix.ts'

const signal = new AbortController().signal
const start = 100
const piece = Uint8Array.from({ length: 40 }, (_, at) => at)

/** A blob that has the piece, and gives it in chunks of seven bytes. */
const blob = {
  async *chunks(from: number, to: number): AsyncGenerator<Uint8Array> {
    for (let at = from; at < to; at += 7) yield piece.slice(at - start, Math.min(to, at + 7) - start)
  },
}

function coming(bytes: Uint8Array): ComingPiece {
  return { start, bytes, filled: bytes.length, isKept: false }
}

describe('what was given before it was proven', () => {
  it('is nothing at first, and as long as the piece is written as it came', async () => {
    const prefix = new UnverifiedPrefix()
    expect(prefix.isEmpty).toBe(true)
    const from = coming(piece.slice())
    prefix.add(start, 10, from)
    expect(prefix.isEmpty).toBe(false)
    from.isKept = true
    expect(prefix.isEmpty).toBe(true)
  })

  it.each([
    ['right', 0, true],
    ['wrong', 1, false],
  ])('is %s when a piece broke off, and another came', async (_what, by, isRight) => {
    const prefix = new UnverifiedPrefix()
    const first = piece.slice()
    first[12] = (first[12] ?? 0) + by
    prefix.add(start, 12, coming(first))
    const broken = coming(first)
    prefix.add(start + 12, 2, broken)
    prefix.add(start + 14, 6, broken)
    const kept = coming(piece.slice())
    prefix.add(start + 20, 13, kept)
    kept.isKept = true
    // What was written is in other hands.
    ;(kept.bytes.buffer as ArrayBuffer).transfer()
    expect(prefix.pieceIn({ size: 1000, pieceBytes: 100, count: 10 })).toBe(1)
    expect(await prefix.isIn(blob, { signal })).toBe(isRight)
    expect(prefix.isEmpty).toBe(isRight)
  })

  it('is wrong when it cannot be looked up any more', async () => {
    const prefix = new UnverifiedPrefix()
    const bytes = piece.slice()
    prefix.add(start, 10, coming(bytes))
    bytes.buffer.transfer()
    expect(await prefix.isIn(blob, { signal })).toBe(false)
  })

  it('is wrong when the blob ends before it', async () => {
    const prefix = new UnverifiedPrefix()
    prefix.add(start, 10, coming(piece.slice()))
    const short = {
      async *chunks(): AsyncGenerator<Uint8Array> {
        yield piece.slice(0, 9)
      },
    }
    expect(await prefix.isIn(short, { signal })).toBe(false)
  })
})
