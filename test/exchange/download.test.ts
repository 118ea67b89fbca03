import { describe, expect, it } from 'vitest'
import {
  Bitfield,
  Download,
  type DownloadAction,
  type DownloadEvent,
  type DownloadOptions,
  layoutOf,
  minPieceBytes,
  TokenBucket,
  wakeEveryMs,
} from '../../src/exchange/exchange.ts'

const mebibyte = 1024 * 1024

/** A download of `count` small pieces, with the time in its hand. */
class Scene {
  readonly download: Download
  readonly count: number
  nowMs = 1000
  readonly log: DownloadAction[] = []

  constructor(count: number, options: Partial<DownloadOptions> = {}) {
    this.count = count
    const layout = layoutOf(count * minPieceBytes)
    this.download = new Download({ layout, random: () => 0.5, ...options })
  }

  give(event: DownloadEvent): DownloadAction[] {
    const actions = this.download.handle(event, this.nowMs)
    this.log.push(...actions)
    return actions
  }

  join(peer: string, pieces?: number[], near = true): DownloadAction[] {
    const held = pieces === undefined ? Bitfield.full(this.count) : new Bitfield(this.count)
    for (const piece of pieces ?? []) held.add(piece)
    return this.give({ type: 'peer', peer, held, near })
  }

  arrive(peer: string, piece: number, afterMs = 10): DownloadAction[] {
    this.nowMs += afterMs
    return this.give({ type: 'arrived', peer, piece })
  }

  /** Wakes it for `ms`, and lets these peers show signs of life. */
  pass(ms: number, alive: string[] = []): DownloadAction[] {
    const actions: DownloadAction[] = []
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += Math.min(wakeEveryMs, end - this.nowMs)
      for (const peer of alive) actions.push(...this.give({ type: 'alive', peer }))
      actions.push(...this.give({ type: 'wake' }))
    }
    return actions
  }
}

function asked(actions: DownloadAction[], peer?: string): number[] {
  return actions
    .filter((action) => action.type === 'request' && (peer === undefined || action.peer === peer))
    .flatMap((action) => (action.type === 'request' ? action.pieces : []))
}

describe('a download', () => {
  it('asks in order while all that it knows have everything, and keeps two small pieces in the pipe', () => {
    const scene = new Scene(8)
    scene.give({ type: 'readers', pieces: [0] })
    expect(asked(scene.join('a'))).toEqual([0, 1])
    expect(asked(scene.arrive('a', 0, 300))).toEqual([2])
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

  it('leaves far peers to those of its site that fetch from them, unless nothing comes', () => {
    const scene = new Scene(8, { fetchesFar: (piece) => piece === 2, random: () => 0 })
    expect(asked(scene.join('far', undefined, false))).toEqual([2])
    expect(asked(scene.pass(1400, ['far']))).toEqual([])
    scene.arrive('far', 2)
    expect(asked(scene.pass(1600, ['far']))).toHaveLength(1)
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
    expect(scene.pass(6000)).toContainEqual({ type: 'drop', peer: 'a', reason: 'stalled' })
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
    scene.pass(1800, ['b', 'c'])
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
    const scene = new Scene(64, { fetchesFar: () => true })
    scene.join('silent', undefined, false)
    for (let piece = 0; asked(scene.log).length - piece < 8; piece++) scene.arrive('silent', piece)
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

  it('tells a peer about a wrong piece, leaves it, and never asks it again', () => {
    const scene = new Scene(4)
    const [piece = -1] = asked(scene.join('liar'))
    expect(scene.give({ type: 'wrong', peer: 'liar', piece })).toEqual([
      { type: 'bad', peer: 'liar', piece },
      { type: 'drop', peer: 'liar', reason: 'wrong-piece' },
    ])
    expect(scene.join('liar')).toEqual([])
    expect(asked(scene.join('b'))).toHaveLength(2)
  })

  it('asks the rest when a peer leaves, loses a piece, or breaks its lane', () => {
    for (const event of ['left', 'reset'] as const) {
      const scene = new Scene(2)
      expect(asked(scene.join('a'))).toEqual([0, 1])
      scene.join('b', [])
      scene.give({ type: 'has', peer: 'b', pieces: [0, 1] })
      scene.give({ type: event, peer: 'a' })
      expect(new Set(asked(scene.log, event === 'left' ? 'b' : undefined))).toEqual(new Set([0, 1]))
      expect(asked(scene.log).length).toBeGreaterThanOrEqual(4)
    }
    const scene = new Scene(2)
    scene.join('a')
    scene.join('b')
    scene.give({ type: 'lost', peer: 'a', pieces: [0] })
    expect(asked(scene.log, 'b')).toContain(0)
  })

  it('welcomes what nobody asked for any more, and asks again for what it lost itself', () => {
    const scene = new Scene(3)
    scene.give({ type: 'arrived', peer: 'stranger', piece: 1 })
    expect(asked(scene.join('a'))).toEqual([0, 2])
    scene.arrive('a', 0)
    scene.arrive('a', 2)
    expect(scene.download.complete).toBe(true)
    expect(asked(scene.give({ type: 'dropped', piece: 1 }))).toEqual([1])
    expect(scene.download.complete).toBe(false)
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
