import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { silentLogger, steadyClock } from '../../../src/base/base.ts'
import type { Asking } from '../../../src/exchange/peer/asking.ts'
import type { Connections } from '../../../src/exchange/peer/connections.ts'
import type { Want, WantEvent, WantListener } from '../../../src/exchange/peer/want.ts'
import { maxNeighbours } from '../../../src/exchange/picker/neighbourhood.ts'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'
import { Sources } from '../../../src/exchange/transfer/sources.ts'
import { digestOf, repository } from '../lab/fixture.ts'

const digest = digestOf(Buffer.from('a blob'))
const size = 16 * 1024 * 1024

/** Sources of one blob among so many members, whose wants are answered by the test. */
class Scene {
  readonly open = new Map<string, WantListener>()
  readonly ended: string[] = []
  isNowhere = false
  readonly members: string[]
  readonly sources: Sources
  readonly #stop = new AbortController()

  constructor(count: number) {
    this.members = Array.from({ length: count }, (_, index) => `member-${index}`)
    this.sources = new Sources({
      self: 'me',
      wanted: { repository, digest },
      links: { to: (peer: string) => this.#link(peer) } as unknown as Connections,
      members: { peers: () => this.members, onChange: () => () => undefined },
      providers: { find: nobody },
      clock: steadyClock,
      logger: silentLogger,
      random: () => 0,
      hasOrigin: false,
      refuses: () => false,
      downloadersOf: () => [],
      onLess: () => undefined,
      onNobody: () => {
        this.isNowhere = true
      },
      onEvent: ({ peer }, { type }) => {
        if (type === 'ended') this.ended.push(peer)
      },
    })
  }

  search(): Promise<void> {
    return this.sources.search.run(this.#stop.signal)
  }

  stop(): void {
    this.#stop.abort(new Error('over'))
    this.sources.close()
  }

  tell(peer: string, event: WantEvent): void {
    const listener = this.open.get(peer)
    if (listener === undefined) throw new Error(`${peer} is not asked`)
    listener(event)
  }

  holds(peer: string, pieces: number[] | 'all'): void {
    const held = pieces === 'all' ? Bitfield.full(256) : new Bitfield(256)
    if (pieces !== 'all') for (const piece of pieces) held.add(piece)
    this.tell(peer, { type: 'holds', size, held })
  }

  #link(peer: string): Asking {
    const want = { id: 1 } as unknown as Want
    return {
      peer,
      want: (_: unknown, listener: WantListener) => {
        this.open.set(peer, listener)
        return want
      },
      release: () => this.open.delete(peer),
    } as unknown as Asking
  }
}

describe('the sources of a blob', () => {
  it('are the first that hold some of it; who has nothing is not listened to any more, unless it fetches it too', async () => {
    const scene = new Scene(20)
    const searching = scene.search()
    expect(scene.open.size).toBe(20)
    scene.holds('member-3', 'all')
    scene.sources.consider('member-4')
    for (const peer of [...scene.open.keys()]) if (peer !== 'member-3') scene.tell(peer, { type: 'absent' })
    expect([...scene.open.keys()]).toEqual(['member-3', 'member-4'])
    scene.holds('member-4', [7])
    expect(scene.sources.holding().map(({ peer }) => peer)).toEqual(['member-3', 'member-4'])
    scene.stop()
    await expect(searching).rejects.toThrow('over')
  })

  it('are few, however many hold it', async () => {
    const scene = new Scene(30)
    const searching = scene.search()
    for (const peer of scene.members) if (scene.open.has(peer)) scene.holds(peer, 'all')
    expect(scene.open.size).toBe(maxNeighbours)
    expect(scene.ended).toHaveLength(20)
    // One more that is named by another has to wait for a place.
    scene.tell([...scene.open.keys()][0] ?? '', { type: 'others', keys: [new Uint8Array(32).fill(1)] })
    expect(scene.open.size).toBe(maxNeighbours)
    scene.tell([...scene.open.keys()][0] ?? '', { type: 'ended' })
    expect(scene.open.size).toBe(maxNeighbours)
    scene.stop()
    await expect(searching).rejects.toThrow('over')
  })

  it('are looked for among all of many members before it is said that nobody has it', async () => {
    const scene = new Scene(80)
    const searching = scene.search()
    // Until the look-up has named nobody.
    await nextTurn()
    expect(scene.open.size).toBe(32)
    const asked = new Set<string>()
    const deny = (): void => {
      for (const peer of [...scene.open.keys()]) {
        if (asked.has(peer)) continue
        asked.add(peer)
        scene.tell(peer, { type: 'absent' })
      }
    }
    deny()
    deny()
    expect([asked.size, scene.open.size, scene.isNowhere]).toEqual([64, 16, false])
    deny()
    expect([asked.size, scene.isNowhere]).toEqual([80, true])
    scene.stop()
    await expect(searching).rejects.toThrow('over')
  })

  it('are exchanged one after the other: whoever gives least for one that was not asked yet', async () => {
    const scene = new Scene(maxNeighbours + 1)
    const searching = scene.search()
    const [stranger = '', ...asked] = scene.members
    for (const peer of [...asked, stranger]) scene.holds(peer, 'all')
    const [lost = ''] = scene.ended
    expect(scene.open.has(lost)).toBe(false)
    const bytes = 1024 * 1024
    const [lazy = '', ...busy] = scene.open.keys()
    for (const peer of busy) scene.tell(peer, { type: 'bytes', piece: 0, bytes })
    expect(scene.open.has(lazy)).toBe(false)
    expect(scene.open.has(lost)).toBe(true)
    scene.stop()
    await expect(searching).rejects.toThrow('over')
  })

  it('are told apart from who was sent away for good, of whom nothing more is asked', async () => {
    const scene = new Scene(2)
    const searching = scene.search()
    for (const peer of scene.members) scene.holds(peer, 'all')
    const [liar] = scene.sources.holding()
    if (liar === undefined) throw new Error('both hold it')
    scene.sources.shun(liar, 'for-good')
    expect([scene.ended, [...scene.open.keys()]]).toEqual([[liar.peer], ['member-1']])
    scene.sources.add(liar.peer)
    expect([...scene.open.keys()]).toEqual(['member-1'])
    scene.stop()
    await expect(searching).rejects.toThrow('over')
  })

  it('are others where one has no place for this node, but not where it is the only one', async () => {
    const scene = new Scene(2)
    const searching = scene.search()
    scene.holds('member-0', 'all')
    scene.tell('member-0', { type: 'busy', retryAfterMs: 100 })
    expect(scene.open.has('member-0')).toBe(true)
    scene.holds('member-1', [1])
    scene.tell('member-0', { type: 'busy', retryAfterMs: 100 })
    expect([...scene.open.keys()]).toEqual(['member-1'])
    scene.stop()
    await expect(searching).rejects.toThrow('over')
  })
})

async function* nobody(): AsyncGenerator<string> {
  yield* []
}
