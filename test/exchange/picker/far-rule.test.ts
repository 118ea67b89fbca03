import { describe, expect, it } from 'vitest'
import { SiteOrder } from '../../../src/exchange/picker/site-order.ts'
import { asked, Scene } from './download-scene.ts'

const count = 256
const names = (from: number, many: number): string[] =>
  Array.from({ length: many }, (_, index) => `fellow-${from + index}`)
/** Of a site without this node, who takes the place of those that fetch for it. */
const ownersIn = (order: SiteOrder): string[] =>
  Array.from({ length: count }, (_, piece) => order.ownerOf(piece))

function orderOf(self: string, fellows: string[]): SiteOrder {
  const order = new SiteOrder({ self, blob: 'a blob' })
  order.set(fellows)
  return order
}

interface Giver {
  /** How long it takes for each piece, one after the other. */
  msPerPiece: number
  isFar?: boolean
}

/** Plays until all is there; returns how long that took, and how many pieces came from far. */
function play(scene: Scene, givers: Record<string, Giver>, mostMs = 600_000): { ms: number; far: number } {
  const queues = new Map<string, { pieces: number[]; dueMs: number }>()
  let far = 0
  let seen = 0
  for (const peer of Object.keys(givers)) queues.set(peer, { pieces: [], dueMs: 0 })
  const nearFirst = Object.entries(givers).toSorted(
    ([, a], [, b]) => Number(a.isFar === true) - Number(b.isFar === true),
  )
  for (const [peer, { isFar = false }] of nearFirst) scene.join(peer, undefined, !isFar)
  const startMs = scene.nowMs
  while (!scene.download.complete && scene.nowMs - startMs < mostMs) {
    scene.nowMs += 10
    for (; seen < scene.log.length; seen++) {
      const action = scene.log[seen]
      if (action?.type === 'request') queues.get(action.peer)?.pieces.push(...action.pieces)
      if (action?.type !== 'cancel') continue
      const queue = queues.get(action.peer)
      if (queue !== undefined) queue.pieces = queue.pieces.filter((piece) => !action.pieces.includes(piece))
    }
    for (const [peer, queue] of queues) {
      const { msPerPiece, isFar } = givers[peer] ?? { msPerPiece: 0 }
      if (queue.pieces.length === 0) queue.dueMs = scene.nowMs + msPerPiece
      else scene.give({ type: 'alive', peer })
      if (queue.pieces.length === 0 || scene.nowMs < queue.dueMs) continue
      queue.dueMs = scene.nowMs + msPerPiece
      if (isFar === true) far++
      scene.give({ type: 'arrived', peer, piece: queue.pieces.shift() ?? -1 })
    }
    if (scene.nowMs % 100 === 0) scene.give({ type: 'wake' })
  }
  return { ms: scene.nowMs - startMs, far }
}

describe('the order of a site', () => {
  it('is the same for all of them, and gives each of the first few a share', () => {
    const site = names(0, 30)
    const [first = [], ...others] = site.map((self) => ownersIn(orderOf(self, site)))
    for (const other of others) expect(other).toEqual(first)
    const shares = [...Map.groupBy(first, (owner) => owner).values()].map(({ length }) => length)
    expect(shares).toHaveLength(4)
    for (const share of shares) expect(share).toBeGreaterThan(count / 8)
  })

  it('moves only the pieces of who has gone', () => {
    const site = names(0, 4)
    const [gone = '', self = '', ...rest] = site
    const before = ownersIn(orderOf(self, site))
    const after = ownersIn(orderOf(self, rest))
    for (const [piece, owner] of before.entries()) if (owner !== gone) expect(after[piece]).toBe(owner)
  })

  it('is another for another blob', () => {
    const site = names(0, 30)
    const other = new SiteOrder({ self: 'fellow-0', blob: 'another blob' })
    other.set(site)
    expect(new Set(ownersIn(other))).not.toEqual(new Set(ownersIn(orderOf('fellow-0', site))))
  })
})

describe('a download with peers in other sites', () => {
  it('asks them for its share alone while others near it download, too', () => {
    const scene = new Scene(count)
    scene.give({ type: 'fellows', peers: names(0, 3) })
    const order = orderOf('me', names(0, 3))
    scene.join('far', undefined, false)
    let arrived = 0
    for (let round = 0; round < 100; round++) {
      const pieces = asked(scene.log)
      for (; arrived < pieces.length; arrived++) scene.arrive('far', pieces[arrived] ?? -1, 1)
    }
    const mine = ownersIn(order).flatMap((owner, piece) => (owner === 'me' ? [piece] : []))
    expect(asked(scene.log).toSorted((a, b) => a - b)).toEqual(mine)
  })

  it('has from near ones what they have, but for a trial', () => {
    const scene = new Scene(count)
    const near = { msPerPiece: 20 }
    expect(play(scene, { far: { msPerPiece: 20, isFar: true }, near }).far).toBeLessThan(2)
  })

  it('does not ask a second far peer for what the first is slow to send, until that takes too long', () => {
    const scene = new Scene(2)
    scene.join('far', undefined, false)
    scene.join('other', undefined, false)
    expect(asked(scene.log, 'other')).toEqual([])
    expect(asked(scene.pass(3000, ['far', 'other']), 'other')).toEqual([])
    expect(asked(scene.pass(3000, ['far', 'other']), 'other').length).toBeGreaterThan(0)
  })

  it('learns late where a peer is', () => {
    const scene = new Scene(count)
    scene.give({ type: 'fellows', peers: names(0, 3) })
    scene.join('far')
    scene.far.add('far')
    scene.pass(100)
    const before = asked(scene.log).length
    for (const piece of asked(scene.log)) scene.arrive('far', piece)
    const order = orderOf('me', names(0, 3))
    const more = asked(scene.log).slice(before)
    expect(more.length).toBeGreaterThan(0)
    for (const piece of more) expect(order.ownerOf(piece)).toBe('me')
  })

  it.each([
    ['a fellow that fetches nothing', 1],
    ['a thousand of them', 1000],
  ])('waits a while for %s, and then for none', (_what, many) => {
    const scene = new Scene(count)
    scene.give({ type: 'fellows', peers: names(0, many) })
    const { ms, far } = play(scene, { far: { msPerPiece: 20, isFar: true } })
    expect(scene.download.complete).toBe(true)
    expect(far).toBe(count)
    expect(ms).toBeLessThan(count * 20 + 10_000)
  })

  it('waits a while for a near peer that has everything and gives nothing', () => {
    const scene = new Scene(count)
    const { ms } = play(scene, {
      far: { msPerPiece: 20, isFar: true },
      near: { msPerPiece: Number.POSITIVE_INFINITY },
    })
    expect(scene.download.complete).toBe(true)
    expect(ms).toBeLessThan(count * 20 + 15_000)
  })

  it.each([
    ['one that has everything', 1],
    ['eight that do', 8],
  ])('goes to far peers when what comes from near is a drip: of %s', (_what, many) => {
    const scene = new Scene(count)
    const near = Object.fromEntries(names(0, many).map((name) => [name, { msPerPiece: 2000 * many }]))
    scene.give({ type: 'fellows', peers: names(0, many) })
    const { ms } = play(scene, { far: { msPerPiece: 20, isFar: true }, ...near })
    expect(scene.download.complete).toBe(true)
    expect(ms).toBeLessThan(60_000)
  })

  it('does not hurry to far peers while near ones give as they did', () => {
    const scene = new Scene(count)
    scene.give({ type: 'fellows', peers: names(0, 8) })
    const { far } = play(scene, {
      far: { msPerPiece: 400, isFar: true },
      'fellow-1': { msPerPiece: 400 },
      'fellow-2': { msPerPiece: 400 },
    })
    expect(far).toBeLessThan(count / 16)
  })
})
