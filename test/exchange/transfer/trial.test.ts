/** When another list is gone on by: what it gave in its trial against what the download got in the same time. */
import { describe, expect, it } from 'vitest'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import { type Candidate, ListCandidates } from '../../../src/exchange/transfer/list-candidates.ts'
import type { HoldingSource } from '../../../src/exchange/transfer/source.ts'
import { Trials } from '../../../src/exchange/transfer/trial.ts'
import { digestOf, pieceHashes, someBytes } from '../lab/fixture.ts'

const bytes = someBytes(6 * layoutOf(1_000_000).pieceBytes)
const layout = layoutOf(bytes.length)
const digest = digestOf(bytes)
const [pieceBytes, count] = [layout.pieceBytes, layout.count]

function candidateOf(content: Uint8Array): Candidate {
  const candidate = new ListCandidates(digest).begin(layout)
  const hashes = pieceHashes(content)
  for (let at = 0; at < hashes.length; at += 32) candidate.list.append(hashes.subarray(at, at + 32))
  return candidate
}

/** The download goes by a list that differs in the piece 2 alone. */
function open() {
  const lie = bytes.slice()
  lie.set(someBytes(pieceBytes), 2 * pieceBytes)
  const asked: string[] = []
  const want = {
    request: (pieces: number[]) => asked.push(`request ${pieces}`),
    cancel: (pieces: number[]) => asked.push(`cancel ${pieces}`),
  }
  const giver = { peer: 'a', want, holds: { size: bytes.length, held: Bitfield.full(count) } }
  const rival = { candidate: candidateOf(bytes), giver: giver as unknown as HoldingSource }
  const trials = new Trials(candidateOf(lie), 0)
  const vain: Candidate[] = []
  const give = (content: Uint8Array, nowMs: number) => {
    const chunks = [content.slice(2 * pieceBytes, 3 * pieceBytes)]
    return trials.heard(rival.giver, { type: 'piece', piece: 2, chunks }, nowMs)
  }
  const verdict = (nowMs: number) => trials.verdict(nowMs, (candidate) => vain.push(candidate))
  return { trials, rival, asked, give, verdict, vain, lie }
}

describe('a list on trial', () => {
  it('is asked for one piece of which the two tell something else', () => {
    const { trials, rival, asked } = open()
    trials.begin(rival, 0)
    trials.begin(rival, 10)
    expect(asked).toEqual(['request 2'])
    const same = new Trials(rival.candidate, 0)
    same.begin({ ...rival, candidate: candidateOf(bytes) }, 0)
    expect(asked).toHaveLength(1)
  })

  it('is gone on by when the download gets nowhere in several times what its piece took', () => {
    const { trials, rival, give, verdict } = open()
    trials.begin(rival, 0)
    expect(give(bytes, 100)).toMatchObject({ isRight: true })
    expect(give(bytes, 110)).toBeUndefined()
    expect(verdict(250)).toBeUndefined()
    expect(verdict(401)).toBe(rival.candidate)
  })

  it('is not while the download gets on, if slower', () => {
    const { trials, rival, give, verdict } = open()
    trials.begin(rival, 0)
    give(bytes, 100)
    for (let nowMs = 200; nowMs < 2900; nowMs += 400) trials.gained(pieceBytes, nowMs)
    for (let nowMs = 400; nowMs < 2900; nowMs += 50) expect(verdict(nowMs)).toBeUndefined()
  })

  it('is over when nothing comes in time, and when what came is wrong by its own hashes', () => {
    const { trials, rival, give, verdict, vain, asked, lie } = open()
    trials.begin(rival, 0)
    expect(verdict(3001)).toBeUndefined()
    expect([vain, asked]).toEqual([[rival.candidate], ['request 2', 'cancel 2']])
    trials.begin(rival, 4000)
    expect(give(lie, 4100)).toMatchObject({ piece: 2, candidate: rival.candidate, isRight: false })
    expect(verdict(5000)).toBeUndefined()
  })
})
