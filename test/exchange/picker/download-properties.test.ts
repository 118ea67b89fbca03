import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Download } from '../../../src/exchange/picker/download.ts'
import {
  type DownloadAction,
  type DownloadEvent,
  wakeEveryMs,
} from '../../../src/exchange/picker/download-events.ts'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'
import { layoutOf, minPieceBytes } from '../../../src/exchange/protocol/piece-size.ts'

const count = 12
const peers = ['a', 'b', 'c', 'd'] as const
const honest = 'honest'

/** What one of the peers does next; numbers choose among what is possible then. */
const step = fc.record({
  what: fc.constantFrom('join', 'has', 'lost', 'left', 'serve', 'serve', 'serve', 'later', 'busy', 'wake'),
  peer: fc.constantFrom(...peers),
  pieces: fc.uniqueArray(fc.nat({ max: count - 1 }), { maxLength: 6 }),
  choice: fc.nat(),
  passMs: fc.nat({ max: 400 }),
})
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** Plays the peers, and holds the download to its promises at every action. */
class Model {
  readonly download: Download
  readonly held = new Map<string, Set<number>>()
  readonly requests = new Map<string, Set<number>>()
  readonly deferred = new Map<string, Set<number>>()
  readonly busyUntil = new Map<string, number>()
  nowMs = 0

  constructor(seed: number) {
    let state = seed
    const random = (): number => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31
      return state / 2 ** 31
    }
    this.download = new Download({ layout: layoutOf(count * minPieceBytes), random })
  }

  give(event: DownloadEvent): void {
    for (const action of this.download.handle(event, this.nowMs)) this.carryOut(action)
    for (const [peer, pieces] of this.requests) {
      for (const piece of pieces) if (this.download.held.has(piece)) expect([peer, piece]).toBe('cancelled')
    }
  }

  carryOut(action: DownloadAction): void {
    const requests = this.requests.get(action.peer) ?? new Set()
    if (action.type === 'request') {
      expect(this.held.has(action.peer)).toBe(true)
      for (const piece of action.pieces) {
        expect(this.held.get(action.peer)?.has(piece)).toBe(true)
        expect(this.download.held.has(piece)).toBe(false)
        expect(requests.has(piece)).toBe(false)
        requests.add(piece)
        const downloaders = [...this.requests].filter(
          ([peer, each]) => each.has(piece) && this.download.delayOf(peer, this.nowMs) !== 'silent',
        )
        expect(downloaders.length).toBeLessThanOrEqual(2)
      }
    } else if (action.type === 'cancel') {
      for (const piece of action.pieces) expect(requests.delete(piece)).toBe(true)
    } else if (action.type === 'drop') this.forget(action.peer)
  }

  join(peer: string, pieces: readonly number[]): void {
    const held = new Bitfield(count)
    for (const piece of pieces) held.add(piece)
    this.held.set(peer, new Set(pieces))
    const requests = this.requests.get(peer) ?? new Set()
    for (const piece of [...requests]) if (!held.has(piece)) requests.delete(piece)
    this.requests.set(peer, requests)
    this.give({ type: 'peer', peer, held })
  }

  serve(peer: string, choice: number): void {
    const requests = [...(this.requests.get(peer) ?? [])]
    const piece = requests[choice % Math.max(1, requests.length)]
    if (piece === undefined) return
    this.requests.get(peer)?.delete(piece)
    this.give({ type: 'arrived', peer, piece })
  }

  forget(peer: string): void {
    this.held.delete(peer)
    this.requests.delete(peer)
  }

  play(step: Step): void {
    this.nowMs += step.passMs
    if (step.what === 'join') this.join(step.peer, step.pieces)
    else if (step.what === 'serve') this.serve(step.peer, step.choice)
    else {
      const event = this.event(step)
      if (event !== undefined) this.give(event)
    }
  }

  event({ what, peer, pieces, choice, passMs }: Step): DownloadEvent | undefined {
    if (what === 'wake') return { type: 'wake' }
    const held = this.held.get(peer)
    if (held === undefined) return undefined
    const requests = this.requests.get(peer) ?? new Set<number>()
    switch (what) {
      case 'has':
        for (const piece of pieces) held.add(piece)
        return { type: 'has', peer, pieces }
      case 'lost':
        for (const piece of pieces) {
          held.delete(piece)
          requests.delete(piece)
        }
        return { type: 'lost', peer, pieces }
      case 'left':
        this.forget(peer)
        return { type: 'left', peer }
      case 'later': {
        const sentAway = [...requests].slice(0, 1 + (choice % 3))
        for (const piece of sentAway) requests.delete(piece)
        return { type: 'later', peer, pieces: sentAway, instead: pieces, retryAfterMs: passMs }
      }
      default:
        requests.clear()
        return { type: 'busy', peer, retryAfterMs: passMs }
    }
  }
}

const script = fc.array(step, { maxLength: 80 })

describe('a download, whatever happens', () => {
  it('asks only those who have a piece, never twice, at most two that are not silent at once, and finishes when one seeder stays', () => {
    fc.assert(
      fc.property(script, fc.nat({ max: 100 }), fc.nat(), (steps, joinAt, seed) => {
        const model = new Model(seed % 2 ** 31)
        const all = Array.from({ length: count }, (_, piece) => piece)
        for (const [at, each] of steps.entries()) {
          if (at === joinAt) model.join(honest, all)
          model.play(each)
        }
        model.join(honest, all)
        // From here on one peer answers, and the others keep what they were asked for.
        for (let turn = 0; turn < 200 && !model.download.complete; turn++) {
          model.nowMs += wakeEveryMs
          model.serve(honest, 0)
          model.give({ type: 'alive', peer: honest })
          model.give({ type: 'wake' })
        }
        expect(model.download.complete).toBe(true)
        expect([...model.requests.values()].every((pieces) => pieces.size === 0)).toBe(true)
      }),
      { numRuns: 150 },
    )
  })

  it('leaves nothing unasked that an idle peer has', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uniqueArray(fc.nat({ max: count - 1 })), { minLength: 4, maxLength: 4 }),
        fc.array(
          fc.record({ peer: fc.constantFrom(...peers), choice: fc.nat(), piece: fc.nat({ max: count - 1 }) }),
        ),
        (inventory, turns) => {
          const model = new Model(1)
          for (const [at, peer] of peers.entries()) model.join(peer, inventory[at] ?? [])
          for (const { peer, choice, piece } of turns) {
            model.nowMs += 10
            if (choice % 2 === 0) model.serve(peer, choice)
            else model.play({ what: 'has', peer, pieces: [piece], choice, passMs: 0 })
            const askedFor = new Set([...model.requests.values()].flatMap((pieces) => [...pieces]))
            for (const idle of peers.filter((each) => model.requests.get(each)?.size === 0)) {
              const left = [...(model.held.get(idle) ?? [])].filter(
                (each) => !askedFor.has(each) && !model.download.held.has(each),
              )
              expect([idle, left]).toEqual([idle, []])
            }
          }
        },
      ),
      { numRuns: 150 },
    )
  })
})
