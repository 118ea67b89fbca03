/** What becomes of lists and of who gave them, whatever liars do: the honest are never blamed, and what they have is got in the end. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'
import {
  pieceHash,
  prefixOf,
  type SignedPieceList,
  signPieceList,
} from '../../../src/exchange/protocol/piece-list.ts'
import { layoutOf, pieceRange } from '../../../src/exchange/protocol/piece-size.ts'
import type { Candidate, Giver, Holding } from '../../../src/exchange/transfer/candidates.ts'
import { ListJudge } from '../../../src/exchange/transfer/list-judge.ts'
import { identityFromSeed } from '../../../src/wire/wire.ts'
import { digestOf, pieceBytes, pieceHashes, someBytes } from '../lab/fixture.ts'

const count = 4
const truth = someBytes(count * pieceBytes)
const digest = digestOf(truth)
const layout = layoutOf(truth.length)
const oneFalse = truth.slice()
oneFalse.set(someBytes(pieceBytes), 2 * pieceBytes)

interface Behaviour {
  /** What its list is of, and what it sends. */
  list: Uint8Array
  sends: Uint8Array
  isHonest: boolean
}

const behaviours: Record<string, Behaviour> = {
  honest: { list: truth, sends: truth, isHonest: true },
  'honest too': { list: truth, sends: truth, isHonest: true },
  'one false hash': { list: oneFalse, sends: truth, isHonest: false },
  'one false piece': { list: truth, sends: oneFalse, isHonest: false },
  'one false of both': { list: oneFalse, sends: oneFalse, isHonest: false },
  'another size': { list: someBytes((count + 1) * pieceBytes), sends: truth, isHonest: false },
  'another blob': { list: someBytes(count * pieceBytes), sends: truth, isHonest: false },
}
const names = Object.keys(behaviours)

const members = new Map(
  Object.entries(behaviours).map(([name, behaviour], index) => {
    const identity = identityFromSeed(Buffer.alloc(32, index + 1))
    const list = { digest, size: behaviour.list.length, hashes: pieceHashes(behaviour.list) }
    return [identity.peerId, { ...behaviour, name, signed: signPieceList(list, identity) }]
  }),
)
const peerOf = new Map([...members].map(([peer, { name }]) => [name, peer]))

/** Plays the members and the transfer. */
class Model {
  readonly judge: ListJudge<Giver>
  readonly convicted = new Set<string>()
  readonly blamed = new Set<string>()
  readonly cooling = new Set<string>()
  /** Who left and came again is asked anew. */
  readonly onTrial = new Map<Giver, Set<number>>()
  /** Whose list each passes on: the honest send what matches it. */
  readonly goesBy = new Map<string, string>()
  givers = new Map<string, Holding<Giver>>()
  current: Candidate | undefined
  held = new Map<number, Uint8Array>()
  isProven = false
  nowMs = 0

  constructor(self = 'self') {
    this.judge = new ListJudge<Giver>({
      digest,
      self,
      now: () => this.nowMs,
      holding: () => [...this.givers.values()],
      isLiar: (author) => this.convicted.has(author),
      act: (command) => {
        if (command.type === 'disappoint') return
        if (command.type === 'convict') {
          this.convicted.add(command.author)
          this.givers.delete(command.author)
          return
        }
        const { giver } = command
        const asked = this.onTrial.get(giver) ?? new Set()
        this.onTrial.set(giver, asked)
        if (command.type === 'request') {
          expect(asked.has(command.piece)).toBe(false)
          asked.add(command.piece)
        } else if (command.type === 'cancel') expect(asked.delete(command.piece)).toBe(true)
        else if (command.type === 'ask-list') expect(giver.list).toBe('asked')
        else {
          this.givers.delete(giver.peer)
          if (command.type === 'bad') this.blamed.add(giver.peer)
          else this.cooling.add(giver.peer)
        }
      },
    })
  }

  join(peer: string, author = peer): void {
    const known = this.givers.has(peer) || this.convicted.has(peer) || this.blamed.has(peer)
    const size = members.get(author)?.list.length
    if (known || size === undefined) return
    this.#go(peer, author)
    const holds = { size, held: Bitfield.full(layoutOf(size).count) }
    this.givers.set(peer, { peer, holds, list: 'none', listAskedMs: 0, listFrom: 0, doubt: undefined })
  }

  /** It goes by another list now, and this node has not heard of it yet: of its size, since it says another one first. */
  turn(peer: string, author: string): void {
    const size = members.get(author)?.list.length
    if (this.givers.get(peer)?.holds.size === size) this.#go(peer, author)
  }

  #go(peer: string, author: string): void {
    if (this.goesBy.get(peer) !== peer) this.goesBy.set(peer, author)
    // Who has vouched has all of it, and goes by nothing else any more.
    if (members.get(author)?.isHonest === true) this.goesBy.set(author, author)
  }

  /** As transfers do, each tick. */
  tick(): void {
    this.nowMs += 100
    if (this.isProven) return
    if (this.current === undefined || this.judge.isOver) {
      this.judge.rest()
      this.current = this.judge.next({ hasOrigin: false, isAsked: false })
      this.held.clear()
      if (this.current !== undefined) this.judge.follow(this.current)
    }
    this.judge.grow()
    const isServed = [...this.givers.values()].some((giver) => this.judge.allows(giver) !== undefined)
    const held = new Bitfield(this.current?.list.layout.count ?? count)
    for (const piece of this.held.keys()) held.add(piece)
    this.judge.compare({ isSated: false, isServed, held })
  }

  /** Its list, if it was asked for, or that there is none. */
  answer(peer: string, hasList: boolean): void {
    const giver = this.givers.get(peer)
    const signed: SignedPieceList | undefined = members.get(this.goesBy.get(peer) ?? '')?.signed
    if (giver?.list !== 'asked' || signed === undefined) return
    if (hasList) this.judge.given(giver, [signed])
    else this.judge.refused(giver)
  }

  serve(peer: string, piece: number): void {
    const [giver, member] = [this.givers.get(peer), members.get(peer)]
    if (giver === undefined || member === undefined) return
    const { start, end } = pieceRange(layout, piece)
    const author = members.get(this.goesBy.get(peer) ?? '')
    const bytes = ((member.isHonest ? author?.list : undefined) ?? member.sends).subarray(start, end)
    const asked = this.onTrial.get(giver)
    if (asked?.has(piece) === true && this.judge.tried(giver, piece, [bytes])) {
      asked.delete(piece)
      return
    }
    const { current } = this
    if (current === undefined || this.held.has(piece) || piece >= current.list.known) return
    if (this.judge.allows(giver)?.(piece) !== true) return
    if (digestOf(bytes).slice(7) !== Buffer.from(pieceHash(current.list, piece)).toString('hex')) {
      this.judge.mismatched(giver, piece, current)
      return
    }
    this.held.set(piece, bytes)
    this.judge.gained(bytes.length)
    if (this.held.size === current.list.layout.count) this.#finish(current)
  }

  #finish(current: Candidate): void {
    const pieces = Array.from(
      { length: this.held.size },
      (_, piece) => this.held.get(piece) ?? new Uint8Array(),
    )
    this.isProven = digestOf(Buffer.concat(pieces)) === digest
    if (this.isProven) this.judge.prove(current)
    else {
      this.judge.convict(current)
      this.judge.rest()
      this.current = undefined
    }
  }
}

/** So few, the first of whom has its list gone by, that what one has said, and does then, is tried in each order. */
const few = ['one false of both', 'honest', 'honest too']
const gone = ['join', 'tick', 'list', 'tick'].map((what) => ({
  what,
  name: 'one false of both',
  author: 'one false of both',
  piece: 0,
}))

const stepOf = (involved: string[]) =>
  fc.record({
    what: fc.constantFrom(
      'join',
      'join',
      'turn',
      'turn',
      'leave',
      'list',
      'list',
      'no-list',
      'serve',
      'serve',
      'serve',
      'tick',
    ),
    name: fc.constantFrom(...involved),
    author: fc.constantFrom(...involved),
    piece: fc.nat({ max: count - 1 }),
  })

describe('whatever liars and the network do', () => {
  it.each([
    ['of many kinds', [], names],
    ['of few, by whose lie is gone', gone, few],
  ])('no honest member is blamed, and what it has is got: %s', (_, before, involved) => {
    fc.assert(
      fc.property(
        fc.array(stepOf(involved), { maxLength: 60, size: 'max' }),
        fc.shuffledSubarray(names, { minLength: names.length }),
        (steps, order) => {
          const model = new Model()
          for (const { what, name, author, piece } of [...before, ...steps]) {
            const peer = peerOf.get(name) ?? ''
            if (what === 'join') model.join(peer, peerOf.get(author))
            else if (what === 'turn') model.turn(peer, peerOf.get(author) ?? '')
            else if (what === 'leave') model.givers.delete(peer)
            else if (what === 'serve') model.serve(peer, piece)
            else if (what === 'tick') model.tick()
            else model.answer(peer, what === 'list')
          }
          // From now on all are there, and tell what they go by; who is honest has the whole, and is the only one to send anything.
          for (const peer of members.keys()) model.givers.delete(peer)
          for (let ticks = 0; ticks < 900 && !model.isProven; ticks++) {
            for (const peer of order.map((name) => peerOf.get(name) ?? '')) {
              model.join(peer)
              model.answer(peer, true)
              if (members.get(peer)?.isHonest !== true) continue
              for (let piece = 0; piece < count; piece++) model.serve(peer, piece)
            }
            model.tick()
          }
          const innocent = [...model.convicted, ...model.blamed].filter((peer) => members.get(peer)?.isHonest)
          expect([innocent, model.isProven]).toEqual([[], true])
        },
      ),
      { numRuns: 80 },
    )
  })
})

describe('a peer that sends a right piece while a false list is gone by, and then', () => {
  const [liar, honest] = [peerOf.get('one false of both') ?? '', peerOf.get('honest') ?? '']
  const lie = members.get(liar)?.signed

  /** The lie is gone by, and the honest one has sent what does not match it. */
  function doubted(): { model: Model; giver: Holding<Giver> } {
    const model = new Model()
    model.join(liar)
    model.tick()
    model.answer(liar, true)
    model.tick()
    model.join(honest, peerOf.get('honest too'))
    model.serve(honest, 2)
    const giver = model.givers.get(honest)
    if (giver?.list !== 'asked') throw new Error('it is asked for its own list')
    return { model, giver }
  }

  it('turns to that list itself, before it is asked for its own, is left and not blamed', () => {
    const { model } = doubted()
    model.turn(honest, liar)
    model.answer(honest, true)
    expect([...model.blamed, ...model.convicted]).toEqual([])
    expect([...model.cooling]).toEqual([honest])
  })

  it('has vouched for that list is blamed for what it sent', () => {
    const { model, giver } = doubted()
    const author = identityFromSeed(Buffer.alloc(32, names.indexOf('honest') + 1))
    model.judge.given(giver, [
      signPieceList({ digest, size: truth.length, hashes: pieceHashes(oneFalse) }, author),
    ])
    expect([...model.blamed]).toEqual([honest])
  })

  it('has signed that hash as it came from the origin is not blamed: it goes by another list since', () => {
    const model = new Model()
    const author = identityFromSeed(Buffer.alloc(32, names.indexOf('honest') + 1))
    const hashes = pieceHashes(oneFalse)
    const section = signPieceList(
      { digest, size: truth.length, hashes, after: prefixOf({ hashes }, 0) },
      author,
    )
    model.join(honest)
    model.tick()
    const giver = model.givers.get(honest)
    if (giver === undefined || lie === undefined) throw new Error('it is there')
    model.judge.given(giver, [section])
    model.tick()
    model.goesBy.set(honest, peerOf.get('honest too') ?? '')
    model.serve(honest, 2)
    model.answer(honest, true)
    expect([...model.blamed, ...model.convicted]).toEqual([])
    expect(model.givers.has(honest)).toBe(true)
  })
})

describe('a list that is tried beside another', () => {
  it('is asked of the next that gave it when the first keeps silent', () => {
    const model = new Model()
    const peers = ['another blob', 'one false piece', 'honest'].map((name) => peerOf.get(name) ?? '')
    const [liar = '', silent = '', honest = ''] = peers
    model.join(liar)
    model.tick()
    model.answer(liar, true)
    model.tick()
    for (const peer of [silent, honest]) {
      model.join(peer)
      const [giver, signed] = [model.givers.get(peer), members.get(peer)?.signed]
      if (giver !== undefined && signed !== undefined) model.judge.given(giver, [signed])
    }
    const askedBy = (ticks: number): string[] => {
      for (let tick = 0; tick < ticks; tick++) model.tick()
      return [...model.onTrial].filter(([, pieces]) => pieces.size > 0).map(([{ peer }]) => peer)
    }
    expect(askedBy(1)).toEqual([silent])
    expect(askedBy(32)).toEqual([honest])
  })
})

describe('a list of which the whole is another blob', () => {
  it('has who vouched for it convicted, once, and nobody who passed it on', () => {
    const model = new Model()
    const [liar, honest] = [peerOf.get('one false of both') ?? '', peerOf.get('honest') ?? '']
    for (const peer of [honest, liar]) model.join(peer)
    const lie = members.get(liar)?.signed
    model.tick()
    const asked = [...model.givers.values()].find(({ list }) => list === 'asked')
    if (asked?.peer !== honest || lie === undefined) throw new Error('the first is asked')
    // It passes the liar's list on.
    model.judge.given(asked, [lie])
    model.tick()
    for (let piece = 0; piece < count; piece++) model.serve(liar, piece)
    expect([...model.convicted]).toEqual([liar])
    expect(model.blamed.size).toBe(0)
    expect(model.judge.isListed).toBe(false)
  })

  it('has nobody convicted whose list a liar puts behind a section of its own', () => {
    const model = new Model()
    const [liar, honest] = [peerOf.get('one false of both') ?? '', peerOf.get('honest') ?? '']
    const identity = identityFromSeed(Buffer.alloc(32, names.indexOf('one false of both') + 1))
    const hashes = pieceHashes(oneFalse)
    const section = (from: number, to: number): SignedPieceList => {
      const after = prefixOf({ hashes }, from)
      return signPieceList(
        { digest, size: truth.length, hashes: hashes.slice(32 * from, 32 * to), after },
        identity,
      )
    }
    model.join(liar)
    model.tick()
    const giver = model.givers.get(liar)
    const proven = members.get(honest)?.signed
    if (giver === undefined || proven === undefined) throw new Error('both are there')
    model.judge.given(giver, [section(0, 3)])
    model.judge.given(giver, [section(3, 4), proven])
    model.tick()
    for (let piece = 0; piece < count; piece++) model.serve(liar, piece)
    expect(model.judge.isWrong).toBe(true)
    expect([...model.convicted, ...model.blamed]).toEqual([])
  })

  it('and that this node signed once is no reason to let go of what it signed now', () => {
    const self = identityFromSeed(Buffer.alloc(32, 99))
    const model = new Model(self.peerId)
    const liar = peerOf.get('one false of both') ?? ''
    const ofSelf = (bytes: Uint8Array): SignedPieceList =>
      signPieceList({ digest, size: bytes.length, hashes: pieceHashes(bytes) }, self)
    model.judge.recall([ofSelf(truth)])
    model.join(liar)
    model.tick()
    const [giver, { current }] = [model.givers.get(liar), model]
    if (giver === undefined || current === undefined) throw new Error('it is gone by')
    model.judge.given(giver, [ofSelf(oneFalse)])
    expect(model.judge.isOver).toBe(false)
    expect(model.judge.allows(giver)).toBeDefined()
  })
})
