/** When another list is gone on by: what it gave in its trial against what the download got in the same time. */
import { describe, expect, it } from 'vitest'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import { type Candidate, Candidates, type Holding } from '../../../src/exchange/transfer/candidates.ts'
import type { Source } from '../../../src/exchange/transfer/source.ts'
import { Trials } from '../../../src/exchange/transfer/trials.ts'
import { digestOf, pieceHashes, someBytes } from '../lab/fixture.ts'

const bytes = someBytes(6 * layoutOf(1_000_000).pieceBytes)
const layout = layoutOf(bytes.length)
const digest = digestOf(bytes)
const [pieceBytes, count] = [layout.pieceBytes, layout.count]

function candidateOf(content: Uint8Array): Candidate {
  const candidate = new Candidates(digest).begin(layout)
  const hashes = pieceHashes(content)
  for (let at = 0; at < hashes.length; at += 32) candidate.list.append(hashes.subarray(at, at + 32))
  return candidate
}

/** The download goes by a list that differs in the piece 2 alone. */
function open() {
  const lie = bytes.slice()
  lie.set(someBytes(pieceBytes), 2 * pieceBytes)
  const holds = { size: bytes.length, held: Bitfield.full(count) }
  const giver = { peer: 'a', holds } as unknown as Holding<Source>
  const [rival, current] = [candidateOf(bytes), candidateOf(lie)]
  const trials = new Trials<Source>()
  const begin = (nowMs: number) => trials.begin(rival, giver, current, nowMs)
  const give = (content: Uint8Array, nowMs: number) =>
    trials.heard(giver, 2, [content.slice(2 * pieceBytes, 3 * pieceBytes)], nowMs)
  return { trials, rival, giver, current, begin, give, lie }
}

describe('a list on trial', () => {
  it('is asked for one piece of which the two tell something else', () => {
    const { trials, rival, giver, begin } = open()
    expect([begin(0), begin(10)]).toEqual([2, undefined])
    expect(trials.begin(candidateOf(bytes), giver, rival, 20)).toBeUndefined()
  })

  it('is gone on by when the download gets nowhere in several times what its piece took', () => {
    const { trials, rival, begin, give } = open()
    begin(0)
    expect(give(bytes, 100)).toMatchObject({ isRight: true })
    expect(give(bytes, 110)).toBeUndefined()
    expect(trials.better(250)).toBeUndefined()
    expect(trials.better(401)).toBe(rival)
  })

  it('is not while the download gets on, if slower', () => {
    const { trials, begin, give } = open()
    begin(0)
    give(bytes, 100)
    for (let nowMs = 100; nowMs < 2900; nowMs += 50) {
      if (nowMs % 400 === 200) trials.gained(pieceBytes)
      expect(trials.better(nowMs)).toBeUndefined()
    }
  })

  it('is as soon as the download has got nowhere for so long, whatever it got before', () => {
    const { trials, rival, begin, give } = open()
    begin(0)
    give(bytes, 100)
    trials.gained(5 * pieceBytes)
    expect([trials.better(400), trials.better(799)]).toEqual([undefined, undefined])
    expect(trials.better(800)).toBe(rival)
  })

  it('is not for what did not come while nothing was wanted', () => {
    const { trials, begin, give } = open()
    begin(0)
    give(bytes, 100)
    trials.idle(390)
    expect(trials.better(401)).toBeUndefined()
  })

  it('is over when nothing comes in time, and when what came is wrong by its own hashes', () => {
    const { trials, rival, begin, give, lie } = open()
    begin(0)
    expect(trials.better(3001)).toBeUndefined()
    expect(trials.end(3000)).toEqual([])
    expect(trials.end(3001)).toMatchObject([{ candidate: rival, piece: 2, tookMs: undefined }])
    begin(4000)
    expect(give(lie, 4100)).toMatchObject({ piece: 2, candidate: rival, isRight: false })
    expect(trials.better(5000)).toBeUndefined()
  })
})
