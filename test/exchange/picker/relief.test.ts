/** Who steps in for peers that are silent or late, and when. */
import { describe, expect, it } from 'vitest'
import type { DownloadAction } from '../../../src/exchange/picker/download-events.ts'
import { minPieceBytes } from '../../../src/exchange/protocol/piece-size.ts'
import { asked, Scene } from './download-scene.ts'

describe('a download whose peers are silent or late', () => {
  it('asks others within half a second when a peer that was asked is silent', () => {
    const scene = new Scene(4)
    const lost = asked(scene.join('dead'))
    scene.join('b')
    for (const piece of asked(scene.log, 'b')) scene.arrive('b', piece)
    const from = scene.nowMs
    scene.nowMs = 1000
    scene.log.length = 0
    scene.pass(500, ['b'])
    expect(from).toBeLessThan(1500)
    expect(asked(scene.log, 'b')).toEqual(expect.arrayContaining(lost))
    expect(asked(scene.log, 'dead')).toEqual([])
  })

  it('waits for a peer behind a narrow link as long as is usual for it', () => {
    const scene = new Scene(64)
    for (const peer of ['narrow', 'b']) scene.join(peer)
    const isSilentAfter = (ms: number): boolean => {
      scene.pass(ms, ['b'])
      return scene.download.delayOf('narrow', scene.nowMs) === 'silent'
    }
    expect(isSilentAfter(600)).toBe(true)
    for (let turn = 0; turn < 4; turn++) {
      scene.give({ type: 'alive', peer: 'narrow' })
      scene.pass(600, ['b'])
    }
    scene.give({ type: 'alive', peer: 'narrow' })
    expect(isSilentAfter(1000)).toBe(false)
    expect(isSilentAfter(500)).toBe(true)
  })

  it('leaves with a silent peer what it was asked for while others have enough to do, and then takes it from it', () => {
    const scene = new Scene(8)
    scene.give({ type: 'readers', pieces: [7] })
    const left = asked(scene.join('silent'))
    scene.join('b')
    const cancelled = (actions: DownloadAction[]): number[] =>
      actions.flatMap((action) => (action.type === 'cancel' ? action.pieces : []))
    expect(cancelled(scene.pass(700, ['b']))).toEqual([])
    expect(asked(scene.log, 'b').filter((piece) => left.includes(piece))).toEqual([7])
    for (let turn = 0; turn < 8; turn++) {
      const waiting = asked(scene.log, 'b').filter((piece) => !scene.download.held.has(piece))
      for (const piece of waiting) scene.arrive('b', piece, 5)
      scene.pass(5, ['b'])
    }
    expect(scene.download.complete).toBe(true)
    expect(new Set(cancelled(scene.log))).toEqual(new Set(left))
  })

  it('says which peers keep it waiting', () => {
    const scene = new Scene(20)
    scene.join('a')
    scene.join('b')
    scene.give({ type: 'busy', peer: 'b', retryAfterMs: 1000 })
    scene.pass(600)
    const delays = ['a', 'b', 'nobody'].map((peer) => scene.download.delayOf(peer, scene.nowMs))
    expect(delays).toEqual(['silent', 'busy', undefined])
    scene.pass(1000, ['a'])
    expect(scene.download.delayOf('a', scene.nowMs)).toBeUndefined()
  })

  it('asks a peer again that was silent for a moment, and gives one up that is silent for long', () => {
    const scene = new Scene(4)
    scene.join('a')
    expect(scene.pass(1000)).toEqual([])
    expect(scene.give({ type: 'alive', peer: 'a' })).toEqual([])
    scene.arrive('a', 0)
    expect(asked(scene.log, 'a').length).toBeGreaterThan(2)
    expect(scene.pass(6000)).toContainEqual({ type: 'drop', peer: 'a' })
  })

  it('does not wait for a silent peer that was asked for all that may be asked for', () => {
    const scene = new Scene(8, { limits: { maxBytes: 1 } })
    const [only] = asked(scene.join('silent'))
    scene.join('b')
    expect(asked(scene.log, 'b')).toEqual([])
    scene.pass(600, ['b'])
    expect(asked(scene.log, 'b')).toEqual([only])
  })

  it('asks a third peer within a second and a half when two are silent, for good or but for a word now and then', () => {
    for (const word of [Number.POSITIVE_INFINITY, 1000]) {
      const scene = new Scene(1)
      for (const peer of ['a', 'b', 'c']) scene.join(peer)
      for (let at = 0; at < 1500 && asked(scene.log, 'c').length === 0; at += 100) {
        scene.pass(100, ['c'])
        if (at % word === 900) for (const peer of ['a', 'b']) scene.give({ type: 'alive', peer })
      }
      expect(asked(scene.log, 'c')).toEqual([0])
    }
  })

  it('asks a third peer when one is silent and the other says that it lives and sends nothing', () => {
    const scene = new Scene(1)
    for (const peer of ['a', 'b', 'c']) scene.join(peer)
    scene.pass(2800, ['b', 'c'])
    expect(asked(scene.log, 'c')).toEqual([0])
  })

  it('has one that is not busy bring what a reader waits for from a silent peer', () => {
    const scene = new Scene(32)
    scene.give({ type: 'readers', pieces: [0] })
    expect(asked(scene.join('silent'))).toEqual([0, 1])
    for (const peer of ['busy', 'c']) scene.join(peer)
    scene.give({ type: 'busy', peer: 'busy', retryAfterMs: 30_000 })
    scene.pass(600, ['c'])
    expect(asked(scene.log, 'c')).toContain(0)
  })

  it('asks a peer again that was silent for a while and is asked for nothing any more', () => {
    const scene = new Scene(8, { limits: { maxBytes: 1 } })
    const first = asked(scene.join('a'))
    scene.join('b')
    scene.pass(600, ['b'])
    expect(asked(scene.log, 'b')).toEqual(first)
    scene.give({ type: 'left', peer: 'b' })
    expect(asked(scene.pass(1500))).toEqual([])
    expect(asked(scene.pass(1000), 'a')).toHaveLength(1)
  })

  it('is not kept from asking far peers by a far one that is silent', () => {
    const scene = new Scene(64)
    scene.give({ type: 'fellows', peers: ['fellow'] })
    scene.join('silent', undefined, false)
    for (const piece of asked(scene.log)) {
      if (asked(scene.log).length - scene.download.held.held < 8) scene.arrive('silent', piece)
    }
    scene.join('far', undefined, false)
    expect(asked(scene.log, 'far')).toEqual([])
    scene.pass(700, ['far'])
    expect(asked(scene.log, 'far').length).toBeGreaterThan(0)
  })

  it('takes what a peer sends after all of them were silent for a moment', () => {
    const scene = new Scene(1)
    for (const peer of ['a', 'b']) scene.join(peer)
    scene.pass(4000)
    expect(asked(scene.log, 'a')).toEqual([0])
    expect(asked(scene.log, 'b')).toEqual([0])
    expect(scene.log.filter(({ type }) => type !== 'request')).toEqual([])
    scene.arrive('a', 0)
    expect(scene.download.complete).toBe(true)
    expect(scene.log.at(-1)).toEqual({ type: 'cancel', peer: 'b', pieces: [0] })
  })

  it('has someone else bring what a reader waits for when its peer is late against its habit', () => {
    const scene = new Scene(64, { limits: { maxPeerBytes: minPieceBytes } })
    scene.give({ type: 'readers', pieces: [0] })
    const waiting = (peer: string): number[] =>
      asked(scene.log, peer).filter((piece) => !scene.download.held.has(piece))
    for (const peer of ['a', 'b']) scene.join(peer)
    for (let turn = 0; turn < 6; turn++)
      for (const peer of ['a', 'b']) scene.arrive(peer, waiting(peer)[0] ?? -1, 20)
    const [head = -1] = waiting('a')
    const from = scene.nowMs
    while (!waiting('b').includes(head) && scene.nowMs < from + 2000) {
      for (let turn = 0; turn < 4; turn++) scene.arrive('b', waiting('b')[0] ?? -1, 20)
      scene.pass(20, ['a', 'b'])
    }
    expect(scene.nowMs - from).toBeLessThan(500)
    scene.arrive('b', head)
    expect(scene.log).toContainEqual({ type: 'cancel', peer: 'a', pieces: [head] })
  })

  it('has someone else bring what a reader waits for behind a piece that is stuck', () => {
    const scene = new Scene(64, { limits: { maxPeerBytes: minPieceBytes } })
    expect(asked(scene.join('stuck'))).toEqual([0, 1])
    scene.join('b')
    scene.give({ type: 'readers', pieces: [1] })
    scene.log.length = 0
    for (let piece = 2; piece < 14; piece++) {
      scene.arrive('b', piece, 20)
      scene.pass(80, ['stuck', 'b'])
    }
    expect(asked(scene.log, 'b')).toContain(1)
  })

  it('gives up a peer that trickles, and finishes without it', () => {
    const scene = new Scene(12)
    scene.join('trickle')
    scene.join('b')
    for (let step = 0; step < 100 && !scene.download.complete; step++) {
      for (const piece of asked(scene.log, 'trickle'))
        scene.give({ type: 'bytes', peer: 'trickle', piece, bytes: 1 })
      const next = asked(scene.log, 'b').find((piece) => !scene.download.held.has(piece))
      if (next !== undefined) scene.arrive('b', next, 20)
      scene.pass(100, ['trickle', 'b'])
    }
    expect(scene.download.complete).toBe(true)
    expect(scene.nowMs).toBeLessThan(1000 + 12 * 120 + 500)
  })

  it('lets an idle peer relieve one that has a long queue', () => {
    const scene = new Scene(16)
    scene.join('slow')
    scene.join('quick', [15])
    scene.arrive('quick', 15, 5)
    for (const piece of asked(scene.log, 'slow').slice(0, 2)) scene.arrive('slow', piece, 800)
    const queue = asked(scene.log, 'slow').filter((piece) => !scene.download.held.has(piece))
    scene.log.length = 0
    scene.give({ type: 'has', peer: 'quick', pieces: queue })
    expect(asked(scene.log, 'quick').length).toBeGreaterThan(0)
    expect(scene.log.some(({ type, peer }) => type === 'cancel' && peer === 'slow')).toBe(true)
  })
})
