import { describe, expect, it } from 'vitest'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'
import { PieceHashes } from '../../../src/exchange/protocol/piece-hashes.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import { ListAsking } from '../../../src/exchange/transfer/list-asking.ts'
import type { HoldingSource, Source } from '../../../src/exchange/transfer/source.ts'
import type { Sources } from '../../../src/exchange/transfer/sources.ts'
import { digestOf } from '../lab/fixture.ts'

const layout = layoutOf(16 * 1024 * 1024)

describe('asking for lists', () => {
  it('lets go of a peer that never says how its list goes on, so that it is asked anew', () => {
    let nowMs = 0
    const clock = { now: () => nowMs, sleep: async () => undefined }
    const asked: number[] = []
    const source = {
      peer: 'seeder',
      list: 'given',
      listAskedMs: clock.now(),
      listFrom: 0,
      holds: { size: layout.size, held: Bitfield.full(layout.count) },
      askList(atMs: number, from: number) {
        Object.assign(source, { list: 'asked', listAskedMs: atMs })
        asked.push(from)
      },
    } as HoldingSource
    const left: string[] = []
    const sources = {
      holding: () => (left.length === 0 ? [source] : []),
      shun: ({ peer }: Source) => left.push(peer),
    } as unknown as Sources
    const asking = new ListAsking(sources, clock)
    const list = new PieceHashes(digestOf(Buffer.from('a blob')), layout)
    nowMs += 1000
    asking.grow(list, () => true)
    expect(asked).toEqual([0])
    nowMs += 9_000
    asking.grow(list, () => true)
    expect(left).toEqual([])
    nowMs += 1_001
    asking.grow(list, () => true)
    expect(left).toEqual(['seeder'])
    expect(asked).toEqual([0])
  })

  it('asks who was not asked of late how a list goes on, so that one that tells little at a time holds nobody up', () => {
    let nowMs = 0
    const asked: string[] = []
    const holding = ['first', 'second'].map((peer) => {
      const source = {
        peer,
        list: 'none',
        listAskedMs: 0,
        listFrom: 0,
        holds: { size: layout.size, held: Bitfield.full(layout.count) },
        askList(atMs: number, from: number) {
          Object.assign(source, { list: 'given', listAskedMs: atMs, listFrom: from })
          asked.push(peer)
        },
      } as HoldingSource
      return source
    })
    const sources = { holding: () => holding } as unknown as Sources
    const asking = new ListAsking(sources, { now: () => nowMs, sleep: async () => undefined })
    const list = new PieceHashes(digestOf(Buffer.from('a blob')), layout)
    for (let turn = 0; turn < 4; turn++) {
      nowMs += 100
      list.append(new Uint8Array(32))
      asking.grow(list, () => true)
    }
    expect(asked).toEqual(['first', 'second', 'first', 'second'])
  })
})
