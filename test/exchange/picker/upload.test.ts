import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Upload } from '../../../src/exchange/picker/upload.ts'
import type { UploadAction, UploadEvent, UploadLimits } from '../../../src/exchange/picker/upload-events.ts'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'

const blob = 'sha256:aa'

class Scene {
  readonly upload: Upload
  nowMs = 0

  constructor(limits: Partial<UploadLimits> = {}) {
    this.upload = new Upload({ slots: 1, slotsPerDownloader: 1, ...limits })
  }

  give(event: UploadEvent): UploadAction[] {
    return this.upload.handle(event, this.nowMs)
  }

  want(downloader: string, held = Bitfield.full(16), name = blob): void {
    this.give({ type: 'want', downloader, blob: name, held })
  }

  request(
    downloader: string,
    pieces: number[],
    options: { urgent?: boolean; blob?: string } = {},
  ): UploadAction[] {
    return this.give({ type: 'request', downloader, blob, pieces, ...options })
  }

  /** Reports every send at once, and returns all of them in order. */
  drain(first: UploadAction[]): string[] {
    const sent: string[] = []
    const queue = [...first]
    for (let action = queue.shift(); action !== undefined; action = queue.shift()) {
      if (action.type !== 'send') continue
      sent.push(`${action.downloader}${action.piece}`)
      queue.push(...this.give({ ...action, type: 'sent' }))
    }
    return sent
  }
}

describe('the seeder', () => {
  it('sends what is small to others while some do not say that they have got it', () => {
    const scene = new Scene({ maxSmall: 2 })
    const small = ['sha256:01', 'sha256:02', 'sha256:03']
    for (const [at, name] of small.entries()) scene.want(`downloader-${at}`, Bitfield.full(1), name)
    scene.want('downloader-0')
    scene.request('downloader-0', [0])
    const ask = (at: number) => scene.request(`downloader-${at}`, [0], { blob: small[at] ?? '' })
    expect([ask(0).length, ask(1).length, ask(2).length]).toEqual([1, 1, 0])
    scene.give({ type: 'cancel', downloader: 'downloader-2', blob: 'sha256:03', pieces: [0] })
    scene.nowMs += 10_000
    expect(ask(2)).toMatchObject([{ type: 'send', blob: 'sha256:03' }])
  })

  it('sends a blob of one piece beside what has slots, so many at once to one downloader, and waits for none of it', () => {
    const scene = new Scene({ smallPerDownloader: 2 })
    scene.want('a')
    const small = ['sha256:01', 'sha256:02', 'sha256:03']
    for (const name of small) scene.want('a', Bitfield.full(1), name)
    expect(scene.request('a', [0, 1])).toMatchObject([{ type: 'send', blob, piece: 0 }])
    const [first, second, third] = small.map((name) => scene.request('a', [0], { blob: name }))
    expect(first).toMatchObject([{ type: 'send', blob: small[0] }])
    expect(second).toMatchObject([{ type: 'send', blob: small[1] }])
    // Beyond that it takes its turn like anything else.
    expect(third).toEqual([])
    expect(scene.give({ type: 'sent', downloader: 'a', blob: 'sha256:01', piece: 0 })).toEqual([])
    expect(scene.give({ type: 'sent', downloader: 'a', blob, piece: 0 })).toHaveLength(1)
  })

  it('gives what it brings from outside to one downloader, which passes it on, and to another that came back for it in vain', () => {
    const scene = new Scene()
    const held = new Bitfield(16)
    for (const downloader of ['a', 'b', 'c'])
      scene.give({ type: 'want', downloader, blob, held, isOrigin: true })
    held.add(0)
    expect(scene.drain(scene.request('a', [0]))).toEqual(['a0'])
    expect(scene.request('b', [0])).toEqual([
      { type: 'later', downloader: 'b', blob, pieces: [0], instead: [], retryAfterMs: 500 },
    ])
    held.add(1)
    expect(scene.request('c', [0])).toMatchObject([{ type: 'later', instead: [1] }])
    expect(scene.drain(scene.request('c', [1]))).toEqual(['c1'])
    expect(scene.drain(scene.request('b', [0], { urgent: true }))).toEqual(['b0'])
    scene.give({ type: 'left', downloader: 'a' })
    scene.give({ type: 'left', downloader: 'c' })
    held.add(2)
    expect(scene.drain(scene.request('b', [0, 1])).toSorted()).toEqual(['b0', 'b1'])
  })

  it('lets downloaders take turns, however much one asks for', () => {
    const scene = new Scene()
    for (const downloader of ['a', 'b', 'c']) scene.want(downloader)
    const first = scene.request('a', [0, 1, 2, 3])
    scene.request('b', [4, 5])
    scene.request('c', [6])
    expect(scene.drain(first)).toEqual(['a0', 'b4', 'c6', 'a1', 'b5', 'a2', 'a3'])
  })

  it('sends no more at once than it has slots, in all and for one downloader', () => {
    const scene = new Scene({ slots: 3, slotsPerDownloader: 2 })
    for (const downloader of ['a', 'b']) scene.want(downloader)
    for (const [piece, downloader] of ['a', 'b'].entries()) scene.drain(scene.request(downloader, [piece]))
    expect(scene.request('a', [2, 3, 4])).toHaveLength(2)
    const [send] = scene.request('b', [5, 6])
    expect(send).toMatchObject({ type: 'send', downloader: 'b', piece: 5 })
    expect(scene.give({ type: 'sent', downloader: 'b', blob, piece: 5 })).toMatchObject([
      { downloader: 'b', piece: 6 },
    ])
  })

  it('sends whoever asks for what another was given to pieces that nobody has', () => {
    const scene = new Scene()
    for (const downloader of ['a', 'b', 'c']) scene.want(downloader)
    scene.request('a', [0, 1])
    const [later] = scene.request('b', [0])
    expect(later).toEqual({
      type: 'later',
      downloader: 'b',
      blob,
      pieces: [0],
      instead: [2, 3, 4, 5],
      retryAfterMs: 500,
    })
    const [other] = scene.request('c', [1])
    expect(other).toMatchObject({ type: 'later', instead: [6, 7, 8, 9] })
  })

  it('gives the first copy away once, and then whatever is asked', () => {
    const scene = new Scene()
    for (const downloader of ['a', 'b']) scene.want(downloader)
    const all = Array.from({ length: 16 }, (_, piece) => piece)
    const first = scene.request('a', all.slice(0, 8))
    scene.request('b', all.slice(8))
    expect(new Set(scene.drain(first).map((sent) => Number(sent.slice(1))))).toEqual(new Set(all))
    expect(scene.drain(scene.request('b', [0, 1])).toSorted()).toEqual(['b0', 'b1'])
  })

  it('gives at once what is urgent, and what a single downloader asks for', () => {
    const scene = new Scene({ slots: 4, slotsPerDownloader: 4 })
    scene.want('a')
    expect(scene.drain(scene.request('a', [0]))).toEqual(['a0'])
    expect(scene.drain(scene.request('a', [0]))).toEqual(['a0'])
    scene.want('b')
    expect(scene.request('b', [0])).toMatchObject([{ type: 'later' }])
    expect(scene.drain(scene.request('b', [0], { urgent: true }))).toEqual(['b0'])
  })

  it('sends nobody away while it has only part of the blob itself', () => {
    const scene = new Scene()
    const held = new Bitfield(16)
    held.add(0)
    for (const downloader of ['a', 'b']) scene.want(downloader, held)
    const first = scene.request('a', [0])
    scene.request('b', [0])
    expect(scene.drain(first)).toEqual(['a0', 'b0'])
    expect(scene.request('a', [1])).toEqual([])
    held.add(1)
    expect(scene.drain(scene.request('a', [1]))).toEqual(['a1'])
  })

  it('counts as not given what only someone got who left at once', () => {
    const scene = new Scene()
    for (const downloader of ['a', 'b', 'c']) scene.want(downloader)
    scene.drain(scene.request('a', [0]))
    scene.give({ type: 'left', downloader: 'a' })
    expect(scene.drain(scene.request('b', [0]))).toEqual(['b0'])
    scene.nowMs += 10_000
    scene.want('d')
    scene.give({ type: 'left', downloader: 'b' })
    expect(scene.request('c', [0])).toMatchObject([{ type: 'later' }])
  })

  it('forgets what is cancelled, and stops what is being sent', () => {
    const scene = new Scene()
    scene.want('a')
    scene.request('a', [0, 1, 2])
    expect(scene.give({ type: 'cancel', downloader: 'a', blob, pieces: [0, 1] })).toEqual([
      { type: 'stop', downloader: 'a', blob, piece: 0 },
    ])
    expect(scene.give({ type: 'sent', downloader: 'a', blob, piece: 0 })).toMatchObject([
      { type: 'send', piece: 2 },
    ])
  })

  it('is busy for a downloader that has too many requests waiting, and for downloaders beyond its limit', () => {
    const scene = new Scene({ maxQueuedPerDownloader: 4, maxDownloaders: 1 })
    scene.want('a')
    const actions = scene.request('a', [0, 1, 2, 3, 4, 5])
    expect(actions).toContainEqual({ type: 'busy', downloader: 'a', blob, retryAfterMs: 500 })
    expect(scene.give({ type: 'want', downloader: 'b', blob, held: Bitfield.full(16) })).toMatchObject([
      { type: 'busy' },
    ])
    expect(scene.request('b', [0])).toEqual([])
  })

  it('has places for so many downloaders of a blob, and gives that of one that asks for nothing to who comes', () => {
    const scene = new Scene({ maxDownloadersOfBlob: 2 })
    scene.want('a')
    scene.want('b')
    const sent = scene.request('a', [0])
    const wants = (downloader: string): UploadAction[] =>
      scene.give({ type: 'want', downloader, blob, held: Bitfield.full(16) })
    expect(wants('c')).toEqual([{ type: 'busy', downloader: 'c', blob, retryAfterMs: 500 }])
    expect(wants('b')).toEqual([])
    scene.nowMs += 60_000
    scene.drain(sent)
    expect(wants('c')).toMatchObject([{ type: 'busy', downloader: 'b' }])
    expect(scene.upload.downloadersOf(blob)).toEqual(['a', 'c'])
    // The one has just been served, the other has just come.
    expect(wants('b')).toMatchObject([{ type: 'busy', downloader: 'b' }])
  })

  it('does not wait for what takes far longer than is usual', () => {
    const scene = new Scene()
    for (const downloader of ['a', 'b']) scene.want(downloader)
    for (let piece = 0; piece < 3; piece++) {
      scene.request('a', [piece])
      scene.nowMs += 200
      scene.give({ type: 'sent', downloader: 'a', blob, piece })
    }
    scene.request('a', [4])
    expect(scene.request('b', [5])).toEqual([])
    scene.nowMs += 700
    expect(scene.give({ type: 'wake' })).toEqual([])
    scene.nowMs += 200
    expect(scene.give({ type: 'wake' })).toMatchObject([{ type: 'send', downloader: 'b', piece: 5 }])
    // However late, it is over then, and counts no more than once.
    scene.request('b', [6])
    expect(scene.give({ type: 'sent', downloader: 'a', blob, piece: 4 })).toEqual([])
    expect(scene.give({ type: 'sent', downloader: 'b', blob, piece: 5 })).toMatchObject([{ piece: 6 }])
  })

  it('sends whoever it sends away for twice as long as a piece takes', () => {
    const scene = new Scene()
    for (const downloader of ['a', 'b']) scene.want(downloader)
    for (let piece = 0; piece < 3; piece++) {
      scene.request('a', [piece])
      scene.nowMs += 1500
      scene.give({ type: 'sent', downloader: 'a', blob, piece })
    }
    expect(scene.request('b', [0])).toMatchObject([{ type: 'later', retryAfterMs: 3000 }])
  })

  it('sends only what was wanted and is held', () => {
    const scene = new Scene()
    scene.want('a')
    expect(scene.request('a', [0], { blob: 'sha256:bb' })).toEqual([])
    expect(scene.request('b', [0])).toEqual([])
    expect(scene.request('a', [16, 99])).toEqual([])
  })

  it('is busy with a downloader until all that it asked for has arrived', () => {
    const scene = new Scene()
    scene.want('a')
    expect(scene.upload.isBusyWith('a')).toBe(false)
    expect(scene.upload.isBusyWith('nobody')).toBe(false)
    const actions = scene.request('a', [0, 1, 2])
    expect(scene.upload.isBusyWith('a')).toBe(true)
    scene.drain(actions)
    expect(scene.upload.isBusyWith('a')).toBe(false)
    expect(scene.upload.isBusyWith('nobody')).toBe(false)
  })

  it('answers every request, keeps within its slots, and forgets everyone in the end', () => {
    const downloaders = ['a', 'b', 'c'] as const
    const step = fc.record({
      what: fc.constantFrom('want', 'request', 'request', 'urgent', 'cancel', 'done', 'left', 'sent', 'sent'),
      downloader: fc.constantFrom(...downloaders),
      blob: fc.constantFrom('x', 'y'),
      want: fc.nat({ max: 1 }),
      pieces: fc.uniqueArray(fc.nat({ max: 9 }), { maxLength: 6 }),
      choice: fc.nat(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const upload = new Upload({ slots: 3, slotsPerDownloader: 2, maxSlots: 3, maxQueuedPerDownloader: 8 })
        const sending: (UploadAction & { type: 'send'; stopped?: boolean })[] = []
        const open = new Set<string>()
        const give = (event: UploadEvent): void => {
          for (const action of upload.handle(event, 0)) {
            const { downloader } = action
            const name = `${action.blob}${action.want}`
            if (action.type === 'send') {
              expect(open.delete(`${downloader} ${name} ${action.piece}`)).toBe(true)
              sending.push(action)
              expect(sending.length).toBeLessThanOrEqual(3)
            } else if (action.type === 'later') {
              for (const piece of action.pieces)
                expect(open.delete(`${downloader} ${name} ${piece}`)).toBe(true)
              for (const piece of action.instead) expect(action.pieces).not.toContain(piece)
            } else if (action.type === 'busy') close((key) => key.startsWith(`${downloader} ${name} `))
            else {
              const stopped = sending.find(
                (each) =>
                  each.downloader === downloader &&
                  `${each.blob}${each.want}` === name &&
                  each.piece === action.piece &&
                  !each.stopped,
              )
              expect(stopped).toBeDefined()
              if (stopped !== undefined) stopped.stopped = true
            }
          }
        }
        const close = (matches: (key: string) => boolean): void => {
          for (const key of [...open]) if (matches(key)) open.delete(key)
        }
        const finish = (choice: number): void => {
          const [over] = sending.splice(choice % Math.max(1, sending.length), 1)
          if (over === undefined) return
          give({ ...over, type: 'sent' })
        }
        const wants = new Set<string>()
        for (const { what, downloader, blob: of, want, pieces, choice } of steps) {
          const asked = { downloader, blob: of, want }
          const name = `${of}${want}`
          if (what === 'want') {
            wants.add(`${downloader} ${name}`)
            give({ type: 'want', ...asked, held: Bitfield.full(10) })
          } else if (what === 'request' || what === 'urgent') {
            const busy = (piece: number): boolean =>
              sending.some(
                (each) =>
                  each.downloader === downloader &&
                  `${each.blob}${each.want}` === name &&
                  each.piece === piece &&
                  !each.stopped,
              )
            if (wants.has(`${downloader} ${name}`)) {
              for (const piece of pieces) if (!busy(piece)) open.add(`${downloader} ${name} ${piece}`)
            }
            give({ type: 'request', ...asked, pieces, urgent: what === 'urgent' })
          } else if (what === 'sent') finish(choice)
          else {
            if (what === 'cancel')
              close((key) => pieces.some((piece) => key === `${downloader} ${name} ${piece}`))
            if (what === 'done') close((key) => key.startsWith(`${downloader} ${name} `))
            if (what === 'left') close((key) => key.startsWith(`${downloader} `))
            if (what === 'done') wants.delete(`${downloader} ${name}`)
            if (what === 'left')
              for (const each of ['x0', 'x1', 'y0', 'y1']) wants.delete(`${downloader} ${each}`)
            if (what === 'cancel' || what === 'done') give({ type: what, ...asked, pieces })
            else give({ type: what, downloader })
          }
        }
        while (sending.length > 0) finish(0)
        expect([...open]).toEqual([])
        for (const downloader of downloaders) give({ type: 'left', downloader })
        expect([upload.downloadersOf('x'), upload.downloadersOf('y')]).toEqual([[], []])
      }),
      { numRuns: 300 },
    )
  })
})

describe('how often who waits hears something', () => {
  /** So many pieces, each of which takes so long. */
  const paceAfter = (pieces: number, ms: number): number => {
    const scene = new Scene()
    scene.want('a')
    for (let piece = 0; piece < pieces; piece++) {
      for (const action of scene.request('a', [piece])) {
        scene.nowMs += ms
        scene.give({ ...action, type: 'sent' } as UploadEvent)
      }
    }
    return scene.upload.paceMs
  }

  it.each([
    { ms: 2, pace: 200 },
    { ms: 1000, pace: 600 },
    { ms: 4000, pace: 800 },
  ])('follows what a piece takes: $pace ms for $ms', ({ ms, pace }) => {
    expect(paceAfter(0, ms)).toBe(200)
    expect(paceAfter(8, ms)).toBe(pace)
  })

  it('is rarer the more there are, up to a bound', () => {
    const scene = new Scene()
    for (let at = 0; at < 12; at++) scene.want(`downloader-${at}`)
    expect(scene.upload.paceMs).toBe(300)
    for (let at = 12; at < 60; at++) scene.want(`downloader-${at}`, undefined, `sha256:0${at}`)
    expect(scene.upload.paceMs).toBe(800)
  })
})
