/** What downloaders that call pieces wrong may have read for it. */
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Background, silentLogger } from '../../../src/base/base.ts'
import { Complaints, type ComplaintsOptions } from '../../../src/exchange/seeding/complaints.ts'
import type { Digest } from '../../../src/oci/oci.ts'
import { digestOf, wanted } from '../lab/fixture.ts'

const blob = (name: string): Digest => digestOf(Buffer.from(name))

interface World extends AsyncDisposable {
  /** Whose lists are being made: each until `end`. */
  making: { digest: Digest; end(): void }[]
  /** Of which a piece was read. */
  read: Set<Digest>
  advance(ms: number): void
  complain(peer: string, digest: Digest, piece?: number): Promise<void>
}

/** Each peer calls from the host that its name begins with, as in `host/key`. The lists of blobs that `isListed` tells are made already. */
function open(isListed: (digest: Digest) => boolean): World {
  const background = new Background('the test', silentLogger)
  const making: World['making'] = []
  const read = new Set<Digest>()
  let nowMs = 0
  const layout = { size: 300, pieceBytes: 1, count: 300 }
  const options = {
    background,
    inventory: {
      partialList: () => undefined,
      find: async () => ({ size: 300 }),
      async *chunks(digest: Digest) {
        read.add(digest)
        yield Uint8Array.of(1)
      },
      rot: () => undefined,
    },
    lists: {
      kept: async (digest: Digest) =>
        isListed(digest) ? { layout, hashes: new Uint8Array(300 * 32) } : undefined,
      async get(digest: Digest) {
        const made = Promise.withResolvers<void>()
        making.push({ digest, end: made.resolve })
        await made.promise
        throw new Error('it was removed')
      },
      drop: async () => undefined,
    },
    providers: { withdraw: () => undefined },
    onRotten: () => undefined,
    hostOf: (peer: string) => peer.split('/')[0],
    clock: { now: () => nowMs },
    logger: silentLogger,
  }
  const complaints = new Complaints(options as unknown as ComplaintsOptions)
  return {
    making,
    read,
    advance(ms) {
      nowMs += ms
    },
    async complain(peer, digest, piece = 0) {
      complaints.hear(peer, wanted(digest), piece)
      for (let turns = 0; turns < 20; turns++) await setImmediate()
    },
    async [Symbol.asyncDispose]() {
      for (const { end } of making) end()
      await background[Symbol.asyncDispose]()
    },
  }
}

describe('complaints', () => {
  it('have four lists made at once, of however many blobs, and the next as soon as one is made', async () => {
    await using world = open(() => false)
    for (let count = 0; count < 20; count++) await world.complain(`host ${count}`, blob(`blob ${count}`))
    expect(world.making).toHaveLength(4)
    world.making[0]?.end()
    await setImmediate()
    await world.complain('host 20', blob('blob 20'))
    expect(world.making.at(-1)?.digest).toBe(blob('blob 20'))
    expect(world.making).toHaveLength(5)
  })

  it('of one host have one list made at a time, by however many keys it complains', async () => {
    await using world = open(() => false)
    for (let count = 0; count < 20; count++) await world.complain(`liar/${count}`, blob(`blob ${count}`))
    await world.complain('honest/1', blob('a rotten one'))
    expect(world.making.map(({ digest }) => digest)).toEqual([blob('blob 0'), blob('a rotten one')])
  })

  it('are looked at while lists are made for others', async () => {
    await using world = open((digest) => digest === blob('a rotten one'))
    for (let count = 0; count < 8; count++) await world.complain(`host ${count}`, blob(`blob ${count}`))
    await world.complain('honest/1', blob('a rotten one'))
    expect([...world.read]).toEqual([blob('a rotten one')])
  })

  it('about one piece, however many, leave room for others while its list is made', async () => {
    await using world = open((digest) => digest === blob('a rotten one'))
    for (let count = 0; count < 40; count++) {
      world.advance(1_000)
      await world.complain(`liar/${count}`, blob('large'))
    }
    await world.complain('honest/1', blob('a rotten one'))
    expect([...world.read]).toEqual([blob('a rotten one')])
  })

  it('of one host, or of several, without end leave room for those of another', async () => {
    await using world = open(() => true)
    for (let piece = 0; piece < 100; piece++) {
      await world.complain(`liar/${piece}`, blob('of one'), piece)
      await world.complain(`another liar/${piece}`, blob('of another'), piece)
    }
    await world.complain('honest/1', blob('a rotten one'))
    expect([...world.read]).toContain(blob('a rotten one'))
  })
})
