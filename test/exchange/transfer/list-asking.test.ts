import { describe, expect, it } from 'vitest'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'
import { PieceHashes } from '../../../src/exchange/protocol/piece-hashes.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import type { Giver, Holding } from '../../../src/exchange/transfer/candidates.ts'
import { ListAsking } from '../../../src/exchange/transfer/list-asking.ts'
import { digestOf } from '../lab/fixture.ts'

const layout = layoutOf(16 * 1024 * 1024)

function open(givers: number, list: Giver['list']) {
  const state = { nowMs: 0, asked: [] as string[] }
  let holding = Array.from({ length: givers }, (_, index): Holding<Giver> => {
    const holds = { size: layout.size, held: Bitfield.full(layout.count) }
    return { peer: `${index}`, holds, list, listAskedMs: 0, listFrom: 0, doubt: undefined }
  })
  const asking = new ListAsking<Giver>({
    now: () => state.nowMs,
    holding: () => holding,
    act: ({ type, giver }) => {
      state.asked.push(`${type} ${giver.peer}`)
      if (type === 'leave') holding = holding.filter((other) => other !== giver)
    },
  })
  return { state, asking, holding }
}

describe('asking for lists', () => {
  it('lets go of a peer that never says how its list goes on, so that it is asked anew', () => {
    const { state, asking } = open(1, 'given')
    const list = new PieceHashes(digestOf(Buffer.from('a blob')), layout)
    const growAfter = (ms: number): string[] => {
      state.nowMs += ms
      asking.grow(list, () => true)
      return state.asked
    }
    expect(growAfter(1000)).toEqual(['ask-list 0'])
    expect(growAfter(9000)).toEqual(['ask-list 0'])
    expect(growAfter(1001)).toEqual(['ask-list 0', 'leave 0'])
    expect(growAfter(1)).toHaveLength(2)
  })

  it('asks one first, and twice as many each time that none has answered', () => {
    const { state, asking } = open(10, 'none')
    const counts: number[] = []
    for (; state.nowMs <= 450; state.nowMs += 50) {
      asking.begin()
      counts.push(state.asked.length)
    }
    expect(counts).toEqual([1, 1, 1, 3, 3, 3, 7, 7, 7, 10])
  })

  it('asks who has none again after a second', () => {
    const { state, asking, holding } = open(1, 'none')
    const [giver] = holding
    if (giver === undefined) throw new Error('there is one')
    asking.begin()
    asking.answered(giver, 'refused')
    for (const nowMs of [1000, 1001]) {
      state.nowMs = nowMs
      asking.begin()
      expect(state.asked).toHaveLength(nowMs === 1000 ? 1 : 2)
    }
  })

  it('asks who was not asked of late how a list goes on, so that one that tells little at a time holds nobody up', () => {
    const { state, asking, holding } = open(2, 'none')
    const list = new PieceHashes(digestOf(Buffer.from('a blob')), layout)
    for (let turn = 0; turn < 4; turn++) {
      state.nowMs += 100
      list.append(new Uint8Array(32))
      asking.grow(list, () => true)
      for (const giver of holding) if (giver.list === 'asked') asking.answered(giver, 'given')
    }
    expect(state.asked).toEqual(['ask-list 0', 'ask-list 1', 'ask-list 0', 'ask-list 1'])
  })
})
