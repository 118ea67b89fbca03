/** An upload among those that want more than their share, under as many names as they like. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type Placed, whoGivesWay } from '../../../src/exchange/picker/places.ts'
import { Upload } from '../../../src/exchange/picker/upload.ts'
import type { UploadAction, UploadEvent } from '../../../src/exchange/picker/upload-events.ts'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'

const blob = 'sha256:aa'
const pieces = 10_000
const pieceMs = 50

/** A seeder with the limits of a node, and downloaders that are as quick as they are told to be. */
class Crowd {
  readonly upload = new Upload()
  /** Pieces that arrived at each. */
  readonly got = new Map<string, number>()
  readonly #onTheWay: { event: UploadAction & { type: 'send' }; atMs: number }[] = []
  readonly #takesMs = new Map<string, number>()
  readonly #knownMs = new Map<string, number>()
  nowMs = 100_000
  #next = 0

  /** `takesMs` for each piece, however many there are at once; `knownMs` since when it is known. */
  join(downloader: string, { takesMs = pieceMs, knownMs = this.nowMs } = {}): void {
    this.#takesMs.set(downloader, takesMs)
    this.#knownMs.set(downloader, knownMs)
  }

  /** Asks for a place and for what it lacks, as a downloader does every now and then. */
  ask(downloader: string, count = 8): void {
    const knownMs = this.#knownMs.get(downloader) ?? 0
    this.#give({ type: 'want', downloader, blob, held: Bitfield.full(pieces), knownMs })
    const wanted = Array.from({ length: count }, () => this.#next++ % pieces)
    this.#give({ type: 'request', downloader, blob, pieces: wanted, urgent: true })
  }

  hasPlace(downloader: string): boolean {
    return this.upload.downloadersOf(blob).includes(downloader)
  }

  leave(downloader: string): void {
    this.#give({ type: 'left', downloader })
  }

  /** Lets time pass; whoever has a place goes on asking. */
  pass(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.nowMs += 25
      this.#give({ type: 'wake' })
      const due = this.#onTheWay.filter(({ atMs }) => atMs <= this.nowMs)
      for (const sending of due) {
        this.#onTheWay.splice(this.#onTheWay.indexOf(sending), 1)
        const { downloader } = sending.event
        this.got.set(downloader, (this.got.get(downloader) ?? 0) + 1)
        this.#give({ ...sending.event, type: 'sent' })
        if (this.hasPlace(downloader)) this.ask(downloader, 1)
      }
    }
  }

  #give(event: UploadEvent): void {
    for (const action of this.upload.handle(event, this.nowMs)) {
      if (action.type === 'send') {
        const takesMs = this.#takesMs.get(action.downloader) ?? pieceMs
        this.#onTheWay.push({ event: action, atMs: this.nowMs + takesMs })
      } else if (action.type === 'stop') {
        const at = this.#onTheWay.findIndex(
          ({ event: { downloader, piece } }) => downloader === action.downloader && piece === action.piece,
        )
        const [stopped] = this.#onTheWay.splice(at, 1)
        if (stopped !== undefined) this.#give({ ...stopped.event, type: 'sent' })
      }
    }
  }
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${prefix}${at}`)
}

it('gives a place to who never had one, however busy those are that have them all', () => {
  const crowd = new Crowd()
  for (const name of names('busy', 12)) {
    crowd.join(name)
    crowd.ask(name)
  }
  crowd.join('late')
  let waitedMs = 0
  for (; !crowd.hasPlace('late') && waitedMs < 60_000; waitedMs += 500) {
    crowd.pass(500)
    crowd.ask('late')
  }
  // Each of twelve has had 32 pieces then, of which eight are on their way at once.
  expect(waitedMs).toBeLessThanOrEqual((2 * 12 * 32 * pieceMs) / 8)
  crowd.pass(2000)
  expect(crowd.got.get('late')).toBeGreaterThan(8)
})

it('keeps a place for those that it has known longest, however many new ones come again and again', () => {
  const crowd = new Crowd()
  let liars = 0
  const liar = (): void => {
    const name = `liar${liars++}`
    crowd.join(name)
    crowd.ask(name)
  }
  for (let count = 0; count < 40; count++) liar()
  crowd.join('known', { knownMs: 1000 })
  crowd.ask('known')
  expect(crowd.hasPlace('known')).toBe(true)
  for (let turn = 0; turn < 200; turn++) {
    for (let count = 0; count < 20; count++) liar()
    crowd.pass(50)
    expect(crowd.hasPlace('known')).toBe(true)
  }
  const share = (crowd.got.get('known') ?? 0) / [...crowd.got.values()].reduce((sum, got) => sum + got, 0)
  expect(share).toBeGreaterThan(1 / 24)
})

it('sends those that take what they are sent, whatever places and pieces others hold that do not', () => {
  const crowd = new Crowd()
  for (const name of names('slow', 11)) {
    crowd.join(name, { takesMs: 3_600_000 })
    crowd.ask(name)
  }
  crowd.join('honest')
  crowd.ask('honest')
  // Nothing is known of what pieces take, so that each of the slow ones is waited for a second, four at once.
  crowd.pass(3500)
  const before = crowd.got.get('honest') ?? 0
  expect(before).toBeGreaterThan(0)
  crowd.pass(1000)
  expect((crowd.got.get('honest') ?? 0) - before).toBeGreaterThanOrEqual((0.7 * 2 * 1000) / pieceMs)
})

it('goes on sending who takes pieces while others take one at once and then hold two, again and again', () => {
  const crowd = new Crowd()
  crowd.join('honest')
  crowd.ask('honest')
  crowd.pass(1000)
  const before = crowd.got.get('honest') ?? 0
  for (let turn = 0; turn < 20; turn++) {
    for (const name of names(`turn${turn}-`, 11)) {
      crowd.join(name, { takesMs: turn % 2 === 0 ? pieceMs : 3_600_000 })
      crowd.ask(name)
    }
    crowd.pass(500)
    for (const name of names(`turn${turn}-`, 11)) crowd.leave(name)
  }
  // A quarter of what it would get alone.
  expect((crowd.got.get('honest') ?? 0) - before).toBeGreaterThan((10_000 * 2) / pieceMs / 4)
})

it('has room for those it has known longest also where all places of the node are taken', () => {
  const upload = new Upload({ maxDownloaders: 30 })
  const want = (downloader: string, knownMs: number, name: string): UploadAction[] =>
    upload.handle({ type: 'want', downloader, blob: name, held: Bitfield.full(16), knownMs }, 0)
  for (const [at, name] of names('liar', 30).entries()) want(name, 5000, `sha256:${at}`)
  expect(want('known', 1000, blob)).toMatchObject([
    { type: 'busy', downloader: expect.stringContaining('liar') },
  ])
  expect(upload.downloadersOf(blob)).toEqual(['known'])
})

const someone = fc.record({
  knownMs: fc.nat({ max: 20 }),
  given: fc.nat({ max: 40 }),
  isIdle: fc.boolean(),
})

it('has nobody give way who is among the third known longest, takes what it is sent and lacks some', () => {
  const copy = 32
  fc.assert(
    fc.property(
      fc.array(someone, { minLength: 3, maxLength: 12 }),
      fc.nat({ max: 20 }),
      fc.option(fc.nat({ max: 40 }), { nil: undefined }),
      (placed: Placed[], knownMs, given) => {
        const gone = whoGivesWay(placed, { knownMs, given }, { copy })
        const longerKnown = (than: number): number => placed.filter((each) => each.knownMs <= than).length
        const third = Math.ceil(placed.length / 3)
        if (gone !== undefined && !gone.isIdle && gone.given < copy) {
          expect(longerKnown(gone.knownMs)).toBeGreaterThan(third)
        }
        // And whoever would be among them, and lacks some, gets a place.
        const lacks = given === undefined || given < copy
        if (lacks && longerKnown(knownMs) < third) expect(gone).toBeDefined()
      },
    ),
    { numRuns: 500 },
  )
})
