import { describe, expect, it } from 'vitest'
import { TokenBucket } from '../../../src/base/base.ts'
import { Download } from '../../../src/exchange/picker/download.ts'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'
import { layoutOf, minPieceBytes } from '../../../src/exchange/protocol/piece-size.ts'
import { asked, Scene } from './download-scene.ts'

const mebibyte = 1024 * 1024

describe('a download', () => {
  it('asks in order while all that it knows have everything, and keeps two small pieces in the pipe', () => {
    const scene = new Scene(8)
    scene.give({ type: 'readers', pieces: [0] })
    expect(asked(scene.join('a'))).toEqual([0, 1])
    expect(asked(scene.arrive('a', 0, 300))).toEqual([2])
  })

  it('asks for what is wanted alone, where it is on demand, and for the rest once that is', () => {
    const scene = new Scene(64, { onDemand: true })
    expect(asked(scene.join('a'))).toEqual([])
    expect(scene.download.isSated).toBe(true)
    const end = [{ from: 62, to: 64 }]
    expect(asked(scene.give({ type: 'wanted', pieces: end, by: 1 })).toSorted()).toEqual([62, 63])
    expect(scene.download.isSated).toBe(false)
    for (const piece of [62, 63]) expect(asked(scene.arrive('a', piece))).toEqual([])
    expect(scene.download.isSated).toBe(true)
    expect(asked(scene.pass(2000, ['a']))).toEqual([])
    expect(scene.download.firstAbsent()).toBeUndefined()
    const isAsked = asked(scene.give({ type: 'wanted', pieces: 'all', by: 1 }))
    expect(isAsked.length).toBeGreaterThan(1)
    scene.give({ type: 'wanted', pieces: 'all', by: -1 })
    for (const piece of isAsked) expect(asked(scene.arrive('a', piece))).toEqual([])
  })

  it('has two send the same at the end of what is wanted, which need not be that of the blob', () => {
    const scene = new Scene(64, { onDemand: true })
    scene.give({ type: 'wanted', pieces: [{ from: 3, to: 4 }], by: 1 })
    scene.join('a')
    expect(asked(scene.join('b'))).toEqual([])
    // The first is silent: the other steps in, as it does where nothing else is left to ask for.
    expect(asked(scene.pass(600, ['b']), 'b')).toEqual([3])
  })

  it('does not ask again for what a peer did not give and nobody wants any more', () => {
    const scene = new Scene(64, { onDemand: true })
    scene.give({ type: 'wanted', pieces: [{ from: 3, to: 4 }], by: 1 })
    scene.join('a')
    scene.give({ type: 'wanted', pieces: [{ from: 3, to: 4 }], by: -1 })
    scene.give({ type: 'busy', peer: 'a', retryAfterMs: 100 })
    expect(asked(scene.pass(1000, ['a']))).toEqual([])
  })

  it('asks a quick peer for more at once', () => {
    const scene = new Scene(64)
    scene.join('a')
    expect(asked(scene.arrive('a', 0, 10)).length).toBeGreaterThan(10)
  })

  it('never asks for more than its limit at once', () => {
    const scene = new Scene(64, { limits: { maxBytes: 4 * minPieceBytes } })
    for (const peer of ['a', 'b', 'c', 'd']) scene.join(peer)
    expect(asked(scene.log)).toHaveLength(4)
  })

  it('asks for a piece once its hash is known, and holds nothing to be at its end before all are', () => {
    const scene = new Scene(8, { known: 1 })
    scene.join('a', [0, 1, 2])
    expect(asked(scene.join('b', [0, 1]))).toEqual([])
    expect(asked(scene.log)).toEqual([0])
    expect(asked(scene.arrive('a', 0, 300))).toEqual([])
    expect(scene.download.firstAbsent()).toBe(3)
    expect(asked(scene.give({ type: 'known', pieces: 2 }))).toEqual([1])
    // The other one has it, too, and is not asked for it while more is to come.
    expect(asked(scene.pass(300, ['a', 'b']))).toEqual([])
    expect(asked(scene.give({ type: 'known', pieces: 8 }))).toEqual([2])
    expect(scene.download.complete).toBe(false)
  })

  it('asks for one large piece at a time', () => {
    const layout = layoutOf(64 * 1024 * mebibyte)
    const download = new Download({ layout, random: () => 0 })
    expect(
      asked(download.handle({ type: 'peer', peer: 'a', held: Bitfield.full(layout.count) }, 0)),
    ).toHaveLength(1)
  })

  it('asks for what is rarest first once others download too', () => {
    const scene = new Scene(8)
    scene.join('busy', [])
    for (const peer of ['b', 'c']) scene.join(peer, [0, 1, 2, 3, 4, 6, 7])
    scene.download.handle({ type: 'busy', peer: 'b', retryAfterMs: 1000 }, scene.nowMs)
    scene.download.handle({ type: 'busy', peer: 'c', retryAfterMs: 1000 }, scene.nowMs)
    expect(asked(scene.join('a'))[0]).toBe(5)
  })

  it('breaks ties by chance, so that neighbours ask for different pieces', () => {
    const firsts = [0, 0.3, 0.6, 0.9].map((value) => {
      const scene = new Scene(16, { random: () => value })
      scene.join('other', [])
      return asked(scene.join('a'))[0]
    })
    expect(new Set(firsts).size).toBe(4)
  })

  it('prefers what a reader waits for once more than one peer has it', () => {
    const scene = new Scene(16)
    scene.give({ type: 'readers', pieces: [3] })
    scene.join('b', [3])
    scene.give({ type: 'busy', peer: 'b', retryAfterMs: 500 })
    expect(asked(scene.join('a'))[0]).toBe(3)
  })

  it('asks the least loaded peer, near before far', () => {
    const scene = new Scene(8)
    scene.join('far', [], false)
    scene.join('near', [])
    scene.give({ type: 'has', peer: 'near', pieces: [4] })
    expect(scene.log).toEqual([{ type: 'request', peer: 'near', pieces: [4], urgent: false }])
    scene.give({ type: 'has', peer: 'far', pieces: [4, 5] })
    expect(asked(scene.log, 'far')).toEqual([5])
  })

  it('asks far peers for all when no one near wants it, too', () => {
    const scene = new Scene(8)
    scene.join('far', undefined, false)
    scene.join('other', undefined, false)
    for (let round = 0; round < 8; round++) for (const piece of asked(scene.log)) scene.arrive('far', piece)
    expect(scene.download.complete).toBe(true)
  })

  it('asks what it is told to ask instead, and again for what it was sent away for, urgently in the end', () => {
    const scene = new Scene(8, { limits: { maxBytes: minPieceBytes } })
    const [first = -1] = asked(scene.join('a'))
    const later = { type: 'later', peer: 'a', retryAfterMs: 200 } as const
    expect(asked(scene.give({ ...later, pieces: [first], instead: [6] }))).toEqual([6])
    for (let piece = 0; piece < 8; piece++) if (piece !== first) scene.arrive('a', piece)
    expect(scene.download.held.held).toBe(7)
    expect(asked(scene.pass(300, ['a']))).toEqual([first])
    scene.give({ ...later, pieces: [first], instead: [] })
    expect(scene.pass(300, ['a'])).toEqual([{ type: 'request', peer: 'a', pieces: [first], urgent: true }])
  })

  it('lets a busy peer rest for as long as it says', () => {
    const scene = new Scene(8)
    scene.join('a')
    expect(scene.give({ type: 'busy', peer: 'a', retryAfterMs: 1000 })).toEqual([])
    expect(asked(scene.pass(900))).toEqual([])
    expect(asked(scene.pass(200))).toHaveLength(2)
  })

  it('asks the rest when a peer leaves or loses a piece', () => {
    const left = new Scene(2)
    expect(asked(left.join('a'))).toEqual([0, 1])
    left.join('b', [])
    left.give({ type: 'has', peer: 'b', pieces: [0, 1] })
    left.give({ type: 'left', peer: 'a' })
    expect(new Set(asked(left.log, 'b'))).toEqual(new Set([0, 1]))
    expect(asked(left.log).length).toBeGreaterThanOrEqual(4)
    const scene = new Scene(2)
    scene.join('a')
    scene.join('b')
    scene.give({ type: 'lost', peer: 'a', pieces: [0] })
    expect(asked(scene.log, 'b')).toContain(0)
  })

  it('welcomes what nobody asked for any more', () => {
    const scene = new Scene(3)
    scene.give({ type: 'arrived', peer: 'stranger', piece: 1 })
    expect(asked(scene.join('a'))).toEqual([0, 2])
    scene.arrive('a', 0)
    scene.arrive('a', 2)
    expect(scene.download.complete).toBe(true)
  })

  it('goes on from what is here', () => {
    const held = new Bitfield(4)
    for (const piece of [0, 1, 3]) held.add(piece)
    const scene = new Scene(4, { held })
    expect(asked(scene.join('a'))).toEqual([2])
    expect(held.held).toBe(3)
  })

  it('asks for no more than its budget allows, over time', () => {
    const budget = new TokenBucket({ bytesPerSecond: 2 * minPieceBytes, burstBytes: 1, nowMs: 1000 })
    const scene = new Scene(64, { budget })
    scene.join('a')
    for (let step = 0; step < 50; step++) {
      for (const piece of asked(scene.log)) if (!scene.download.held.has(piece)) scene.arrive('a', piece, 0)
      scene.pass(100)
    }
    expect(scene.nowMs).toBe(6000)
    expect(scene.download.held.held).toBeGreaterThanOrEqual(9)
    expect(scene.download.held.held).toBeLessThanOrEqual(12)
  })

  it('knows no more peers than its limit', () => {
    const scene = new Scene(4, { limits: { maxPeers: 2 } })
    for (const peer of ['a', 'b', 'c']) scene.join(peer, [])
    scene.give({ type: 'has', peer: 'c', pieces: [0] })
    expect(scene.log).toEqual([])
  })

  it('has nothing to do for an empty blob', () => {
    const download = new Download({ layout: layoutOf(0), random: () => 0 })
    expect(download.complete).toBe(true)
    expect(download.handle({ type: 'peer', peer: 'a', held: new Bitfield(0) }, 0)).toEqual([])
  })
})
