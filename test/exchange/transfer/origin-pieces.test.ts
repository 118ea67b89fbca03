/** What a line that breaks leaves behind, piece by piece; whole transfers from an origin are in origin.test.ts. */
import { describe, expect, it } from 'vitest'
import { steadyClock } from '../../../src/base/base.ts'
import type { Origin } from '../../../src/exchange/contract.ts'
import { layoutOf, minPieceBytes } from '../../../src/exchange/protocol/piece-size.ts'
import type { Attempt } from '../../../src/exchange/transfer/attempt.ts'
import { MemoryBudget } from '../../../src/exchange/transfer/memory-budget.ts'
import { OriginPieces, type OriginPiecesParts } from '../../../src/exchange/transfer/origin-pieces.ts'
import { TransferState } from '../../../src/exchange/transfer/transfer-state.ts'
import { parseDigest } from '../../../src/oci/oci.ts'
import { wanted } from '../lab/fixture.ts'

const digest = parseDigest(`sha256:${'ab'.repeat(32)}`)
const layout = layoutOf(3 * minPieceBytes)
const { signal } = new AbortController()

/** What comes of a blob of three pieces; `take` says what becomes of each that came. */
function openPieces(origin: Origin, take: (piece: number) => Promise<boolean>) {
  const begun: number[] = []
  const candidate = { list: { layout, known: layout.count } }
  const fake = { candidate, held: { complete: false }, firstAbsent: (from = 0) => from, take }
  const attempt = fake as unknown as Attempt
  const state = new TransferState(wanted(digest), 0)
  state.go({ name: 'downloading', attempt })
  const parts: OriginPiecesParts = {
    state,
    judge: {
      isListed: true,
      begin: ({ size }) => {
        begun.push(size)
        state.go({ name: 'proven' })
      },
      grow: () => undefined,
    },
    sources: { holding: () => [] },
  }
  const memory = new MemoryBudget(16 * minPieceBytes)
  return { pieces: new OriginPieces(parts, { origin, memory, clock: steadyClock, stallMs: 1000 }), begun }
}

/** One whole piece and a part of the next; then the line breaks, once `breaks` says so. */
function brokenLine(breaks: Promise<void>): Origin {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(minPieceBytes + 1)
    await breaks
    throw new Error('the line broke')
  }
  return {
    open: async (start) => ({
      size: layout.size,
      start,
      chunks: chunks(),
      [Symbol.asyncDispose]: async () => undefined,
    }),
  }
}

describe('an origin whose line breaks inside a piece', () => {
  it('hears all the same that the piece before it is not what others signed', async () => {
    const verdict = Promise.withResolvers<boolean>()
    const broken = Promise.withResolvers<void>()
    const { pieces, begun } = openPieces(brokenLine(broken.promise), () => verdict.promise)
    const running = pieces.run({ signal })
    broken.resolve()
    // The break is noticed before the verdict.
    await new Promise((resolve) => setImmediate(resolve))
    verdict.resolve(false)
    expect(await running).toBe(true)
    expect(begun).toEqual([layout.size])
  })

  it('fails for what broke it when the piece before it was right, and also when that could not be written', async () => {
    for (const verdict of [async () => true, async () => Promise.reject(new Error('the disk is full'))]) {
      const { pieces, begun } = openPieces(brokenLine(Promise.resolve()), verdict)
      await expect(pieces.run({ signal })).rejects.toThrow('the line broke')
      expect(begun).toEqual([])
    }
  })
})
