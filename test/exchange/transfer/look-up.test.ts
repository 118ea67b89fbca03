/** Small content read from members, and who holds what: asked without a transfer, with members that lie, hang and leave. */
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/base.ts'
import type { WantEvent } from '../../../src/exchange/peer/want.ts'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import { LookUp, type LookUpOptions } from '../../../src/exchange/transfer/look-up.ts'
import { parseRepository } from '../../../src/oci/oci.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'
import {
  digestOf,
  openWorld,
  repository,
  someBytes,
  type TestNode,
  type World,
  wanted,
} from '../lab/fixture.ts'

const maxBytes = 4 * 1024 * 1024
const { signal } = new AbortController()

describe('content of a manifest’s size', () => {
  let world: World
  beforeEach(() => {
    world = openWorld()
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
  })

  const reader = async (): Promise<TestNode> => await world.node()

  it.each([1, 1000, 262_144, 3_000_000])('of %i bytes is read from the member that has it', async (size) => {
    const seeder = await world.node()
    await world.node()
    const bytes = someBytes(size)
    const digest = await seeder.holds(bytes)
    const found = await (await reader()).exchange.read(wanted(digest), { maxBytes })
    expect([found?.peer, found && digestOf(found.bytes)]).toEqual([seeder.peer, digest])
  })

  it('is given from beside the blobs, for repositories that may read it, and to no other', async () => {
    const bytes = someBytes(2000)
    const digest = digestOf(bytes)
    const manifests = {
      stat: async () => ({ size: bytes.length }),
      open: async () => ({
        size: bytes.length,
        async *chunks(start: number, end: number) {
          yield bytes.slice(start, end)
        },
        [Symbol.asyncDispose]: async () => undefined,
      }),
    }
    const seeder = await world.node({ override: { manifests } })
    const { exchange } = await reader()
    expect(await exchange.read(wanted(digest), { maxBytes })).toEqual({ bytes, peer: seeder.peer })
    seeder.readers.clear()
    expect(await exchange.read(wanted(digest), { maxBytes })).toBeUndefined()
  })

  it('is read once by those who ask for it at the same time, and for two repositories in turn', async () => {
    const other = parseRepository('team/other')
    const seeder = await world.node()
    seeder.readers.add(other)
    const digest = await seeder.holds(someBytes(2000))
    const { exchange } = await reader()
    const found = await Promise.all(
      [repository, repository, other].map((name) =>
        exchange.read({ repository: name, digest }, { maxBytes }),
      ),
    )
    expect(found.map((small) => small?.peer)).toEqual([seeder.peer, seeder.peer, seeder.peer])
  })

  it('is not read when it is larger than may be', async () => {
    const digest = await (await world.node()).holds(someBytes(1001))
    expect(await (await reader()).exchange.read(wanted(digest), { maxBytes: 1000 })).toBeUndefined()
  })

  it('is held by those that hold it whole', async () => {
    const nodes = [await world.node(), await world.node(), await world.node()]
    const bytes = someBytes(100)
    for (const node of nodes.slice(1)) await node.holds(bytes)
    const found = await nodes[0]?.exchange.seeders(wanted(digestOf(bytes)), { withinMs: 6000 })
    expect(found).toEqual(
      nodes
        .slice(1)
        .map(({ peer }) => peer)
        .sort(),
    )
  })
})

type Behaviour = 'gives' | 'gives late' | 'lies' | 'hangs' | 'stalls' | 'lacks' | 'leaves' | 'is busy'

/** Members that behave as they are told to, and what is asked of them, in order. */
function lab(behaviours: Record<string, Behaviour>, inDht: string[] = []) {
  const bytes = someBytes(300_000)
  const layout = layoutOf(bytes.length)
  const clock = new SteppedClock()
  const [asked, blamed, released]: [string[], string[], string[]] = [[], [], []]
  let searches = 0
  const options = {
    self: 'self',
    clock,
    random: () => 0.5,
    logger: silentLogger,
    stop: signal,
    members: { peers: () => Object.keys(behaviours).filter((peer) => !inDht.includes(peer)) },
    providers: {
      async *find() {
        searches++
        yield* inDht
      },
    },
    faults: { add: (peer: string) => void blamed.push(peer) },
    links: {
      to: (peer: string) => ({
        want(_: object, tell: (event: WantEvent) => void) {
          const behaviour = behaviours[peer]
          asked.push(peer)
          queueMicrotask(() => {
            if (behaviour === 'lacks') tell({ type: 'absent' })
            else if (behaviour !== 'hangs')
              tell({ type: 'holds', size: bytes.length, held: Bitfield.full(layout.count) })
          })
          return {
            async request(pieces: number[]) {
              if (behaviour === 'stalls') return
              if (behaviour === 'gives late') await clock.sleep(2000)
              if (behaviour === 'leaves') return tell({ type: 'ended' })
              if (behaviour === 'is busy') return tell({ type: 'busy', retryAfterMs: 1000 })
              const given = behaviour === 'lies' ? bytes.map((byte) => byte ^ 1) : bytes
              for (const piece of pieces) {
                const start = piece * layout.pieceBytes
                tell({ type: 'piece', piece, chunks: [given.slice(start, start + layout.pieceBytes)] })
              }
            },
          }
        },
        release: () => void released.push(peer),
      }),
    },
  }
  const lookUp = new LookUp(options as unknown as LookUpOptions)
  const digest = digestOf(bytes)
  /** Who gave it, once nothing of the look-up is left. */
  const read = async (likely?: string): Promise<string | undefined> => {
    const found = await lookUp.read(wanted(digest), { maxBytes, likely, signal })
    while (released.length < asked.length) await turn()
    if (found !== undefined) expect(digestOf(found.bytes)).toBe(digest)
    return found?.peer
  }
  const seeders = (withinMs: number): Promise<string[]> =>
    lookUp.seeders(wanted(digest), { withinMs, signal })
  return { read, seeders, clock, asked, blamed, released, searches: () => searches }
}

describe('a member', () => {
  it('that most likely has it is asked alone', async () => {
    const { read, asked, released } = lab({ a: 'gives', b: 'gives', c: 'gives' })
    expect(await read('b')).toBe('b')
    expect([asked, released]).toEqual([['b'], ['b']])
  })

  it.each(['lies', 'leaves', 'is busy', 'lacks'] as const)('that %s is passed over', async (behaviour) => {
    const { read, blamed, asked } = lab({ a: behaviour, b: behaviour, c: 'gives' })
    expect(await read('a')).toBe('c')
    expect(blamed.every((peer) => behaviour === 'lies' && peer !== 'c')).toBe(true)
    expect(asked).toEqual(['a', 'b', 'c'])
  })

  it.each(['hangs', 'stalls'] as const)('that %s is not waited for alone', async (behaviour) => {
    const { read, clock, blamed } = lab({ a: behaviour, b: behaviour, c: 'gives' })
    const reading = read()
    const ticking = setInterval(() => clock.advance(50), 1)
    expect(await reading).toBe('c')
    clearInterval(ticking)
    expect(blamed).toEqual([])
  })

  it.each([undefined, 'a'])(
    'that takes its time is waited for when nobody else has it (likely: %s)',
    async (likely) => {
      const { read, clock, blamed } = lab({ a: 'gives late', b: 'lacks' })
      const reading = read(likely)
      const ticking = setInterval(() => clock.advance(50), 1)
      expect(await reading).toBe('a')
      clearInterval(ticking)
      expect(blamed).toEqual([])
    },
  )

  it('that the DHT names is asked when those that are connected give nothing', async () => {
    const { read, blamed, searches } = lab({ a: 'lies', b: 'lacks', far: 'gives' }, ['far'])
    expect(await read()).toBe('far')
    expect([blamed, searches()]).toEqual([['a'], 1])
  })

  it('is not looked for in the DHT where one that is connected gives it', async () => {
    const { read, searches } = lab({ a: 'lacks', b: 'gives', far: 'gives' }, ['far'])
    expect(await read()).toBe('b')
    expect(searches()).toBe(0)
  })

  it('that begins to give and does not go on delays the word that nobody has it by half a minute, however many do', async () => {
    const stalling = Object.fromEntries(
      Array.from({ length: 40 }, (_, n) => [`stalling-${n}`, 'stalls' as const]),
    )
    const { read, clock } = lab(stalling)
    const beganMs = clock.now()
    const reading = read()
    const ticking = setInterval(() => clock.advance(250), 1)
    expect(await reading).toBeUndefined()
    clearInterval(ticking)
    expect(clock.now() - beganMs).toBeLessThan(32_000)
  })

  it('that has not said by then that it has all of it is not among those that do', async () => {
    const { seeders, clock, asked, released } = lab({ b: 'gives', a: 'gives', c: 'hangs', d: 'lacks' })
    const beganMs = clock.now()
    const asking = seeders(1000)
    const ticking = setInterval(() => clock.advance(50), 1)
    expect(await asking).toEqual(['a', 'b'])
    clearInterval(ticking)
    expect(clock.now() - beganMs).toBeLessThan(6000)
    expect(released.toSorted()).toEqual(asked.toSorted())
  })

  it('that nobody is leaves it unread', async () => {
    const { read, searches } = lab({ a: 'lacks', b: 'lacks' })
    expect(await read()).toBeUndefined()
    expect(searches()).toBe(1)
  })
})
