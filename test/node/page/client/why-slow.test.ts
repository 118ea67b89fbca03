import { describe, expect, it } from 'vitest'
import type { BlobEvent, StateEvent, SwarmPeer } from '../../../../node/page/answers/live.ts'
import { progressInWords, whySlow } from '../../../../node/page/client/why-slow.ts'

type Transfer = NonNullable<BlobEvent['transfer']>
type Scene = Pick<StateEvent, 'members' | 'limits' | 'transfers' | 'flows' | 'self'>

const mebibyte = 2 ** 20
const peer = (name: string, facts: Partial<SwarmPeer> = {}): SwarmPeer => {
  return {
    peer: name,
    state: 'ready',
    held: 10,
    waiting: 2,
    receivedBytes: 0,
    bytesPerSecond: mebibyte,
    ...facts,
  }
}
const transfer = (peers: SwarmPeer[], facts: Partial<Transfer> = {}): Transfer => {
  return {
    pieceBytes: 1,
    pieces: 10,
    held: 4,
    bitfield: '',
    proving: false,
    bytesPerSecond: 1,
    peers,
    ...facts,
  }
}
const scene: Scene = { self: 'me', members: [], limits: { upload: 0, download: 0 }, transfers: [], flows: [] }

function said(what: Transfer, where: Partial<Scene> = {}): string[] {
  return whySlow(what, { ...scene, ...where }, (name) => name).map(({ kind, text }) => `${kind}: ${text}`)
}

describe('why a pull is slow', () => {
  it('is nobody’s fault when several send what they can', () => {
    expect(said(transfer([peer('a'), peer('b', { bytesPerSecond: 2 * mebibyte })]))).toEqual([
      'note: Nothing holds it up: 2 members send what their connections carry; the quickest is b with 2.0 MiB/s.',
    ])
  })

  it('is said for each cause, the weightiest first', () => {
    const reasons = said(
      transfer([
        peer('a', { state: 'silent' }),
        peer('b', { state: 'busy', held: 3 }),
        peer('c', { held: 0 }),
      ]),
    )
    expect(reasons[0]).toBe('holds: a was asked and says nothing now; the pieces are asked of others.')
    expect(reasons[1]).toBe('holds: b serves others first and asked this node to wait.')
    expect(said(transfer([peer('a', { held: 0, state: 'absent' })]))).toEqual([
      'holds: No member that is connected holds any of what is missing; 1 member was asked.',
    ])
    expect(said(transfer([peer('a')]))[0]).toBe(
      'holds: It comes from a alone, at the 1.0 MiB/s that it sends.',
    )
    expect(said(transfer([peer('a', { held: 7 }), peer('b', { held: 6 })]))[0]).toContain(
      'the fullest has 7 of 10 pieces',
    )
    expect(said(transfer([], { proving: true }))).toEqual([
      'note: Everything is here; the whole is being hashed.',
    ])
  })

  it('is a limit where one is reached: this node’s, or a sender’s', () => {
    const own = { to: 'me', digest: '', heldBytes: 0, pieces: 1, held: 0, peers: 1, bytesPerSecond: mebibyte }
    const peers = [peer('a'), peer('b')]
    const limited = said(transfer(peers), {
      limits: { upload: 0, download: mebibyte },
      transfers: [own, { ...own, to: 'other' }],
    })
    expect(limited).toEqual([
      'holds: This node takes at most 1.0 MiB/s (--max-download), and that is what it takes.',
    ])
    const facts = { isSelf: false, addresses: [], sinceMs: 0, receivedBytes: 0, sentBytes: 0, faults: {} }
    const members = [{ ...facts, peer: 'a', maxUpload: mebibyte, latencyMs: 80 }]
    const flows = ['me', 'other'].map((to) => ({ from: 'a', to, bytesPerSecond: mebibyte / 2 }))
    expect(said(transfer(peers), { members, flows })).toEqual([
      'holds: a sends at most 1.0 MiB/s (its --max-upload), and 2 members share that.',
      'note: a is 80 ms away.',
    ])
  })
})

describe('how far a pull is', () => {
  it.each([
    [{ isHere: true, bytes: mebibyte }, 'All 1.0 MiB of it are on this node.'],
    [{ isHere: false }, 'It is not on this node, and not on its way here.'],
    [
      {
        isHere: false,
        bytes: 10 * mebibyte,
        transfer: transfer([peer('a')], { pieceBytes: mebibyte, bytesPerSecond: mebibyte }),
      },
      '4.0 MiB of 10.0 MiB are here; 1.0 MiB/s from 1 member.',
    ],
  ])('is said in a sentence: %#', (facts, sentence) => {
    expect(progressInWords({ digest: '', repositories: [], ...facts })).toBe(sentence)
  })
})
