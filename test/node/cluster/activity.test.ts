/** What members tell each other about what moves. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  activityLimits,
  activityMessage,
  activityOf,
  answerActivity,
  askActivity,
} from '../../../node/cluster/activity.ts'
import { maxProblemLength, maxProblems, watchCondition } from '../../../node/cluster/condition.ts'
import { watchLostMembers } from '../../../node/cluster/lost-members.ts'
import type { ExchangeStatus } from '../../../src/exchange/contract.ts'
import { parseDigest } from '../../../src/oci/oci.ts'
import { channelPair, identityFromSeed } from '../../../src/wire/wire.ts'

const peer = identityFromSeed(Buffer.alloc(32, 7)).peerId
const digest = parseDigest(`sha256:${'a'.repeat(64)}`)
const status: ExchangeStatus = {
  transfers: [
    { digest, pieces: 0, held: 0, peers: 1 },
    { digest, size: 1000, pieces: 1, held: 0, peers: 2 },
  ],
  peers: [{ peer, receivedBytes: 5, sentBytes: 6, faults: {} }],
  memoryBytes: 0,
}
const exchange = { status: () => status }
const golden = 'a3646e616d65646e6f646565706565727380697472616e736665727380'

describe('activity', () => {
  it('is told as it is asked for, again and again on one channel', async () => {
    const { a, b } = channelPair({ maxFrameBytes: activityLimits.maxFrameBytes })
    const { signal } = new AbortController()
    const answering = answerActivity(b, () => activityOf({ name: 'node', maxUpload: 100 }, exchange), {
      signal,
    })
    for (let round = 0; round < 2; round++) {
      expect(await askActivity(a, { signal })).toEqual({
        name: 'node',
        maxUpload: 100,
        peers: [{ peer, received: 5 }],
        transfers: [
          { digest, pieces: 0, held: 0, peers: 1 },
          { digest, size: 1000, pieces: 1, held: 0, peers: 2 },
        ],
      })
    }
    await a.close()
    await answering
  })

  it('tells how the member is, with its disk', async () => {
    const { a, b } = channelPair({ maxFrameBytes: activityLimits.maxFrameBytes })
    const { signal } = new AbortController()
    const condition = { problems: ['the disk is full'], disk: { free: 1, total: 9, filled: 4, limit: 5 } }
    const answering = answerActivity(
      b,
      async () => activityOf({ name: 'node', maxUpload: 0, condition }, exchange),
      { signal },
    )
    expect((await askActivity(a, { signal })).condition).toEqual(condition)
    await a.close()
    await answering
  })

  it('has one encoding', () => {
    const bytes = activityMessage.encode(
      activityOf({ name: 'node', maxUpload: 0 }, { status: () => ({ ...status, transfers: [], peers: [] }) }),
    )
    expect(Buffer.from(bytes).toString('hex')).toBe(golden)
  })

  it('stays within its frame whatever the node does', () => {
    const many = {
      ...status,
      transfers: Array.from({ length: 500 }, () => ({
        digest,
        size: 2 ** 40,
        pieces: 65_536,
        held: 65_536,
        peers: 64,
      })),
      peers: Array.from({ length: 1024 }, () => ({
        peer,
        receivedBytes: 2 ** 53 - 1,
        sentBytes: 0,
        faults: {},
      })),
    }
    const size = 2 ** 53 - 1
    const condition = {
      problems: Array.from({ length: maxProblems }, () => '\u{1f40b}'.repeat(maxProblemLength / 2)),
      disk: { free: size, total: size, filled: size, limit: size },
    }
    const self = { name: 'n'.repeat(64), maxUpload: 1, condition }
    const told = activityMessage.decode(activityMessage.encode(activityOf(self, { status: () => many })))
    expect(told.condition).toEqual(condition)
    expect([told.peers.length, told.transfers.length]).toEqual([256, 32])
  })

  it('refuses whatever is not it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => activityMessage.decode(bytes)).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
      }),
    )
  })
})

describe('a condition', () => {
  it('is what /readyz says, cut to what is told, and the disk as far as it can be looked at', async () => {
    const limit = { filledBytes: 3, maxBytes: 4, highBytes: 4, lowBytes: 3, isStuck: false }
    const clock = { now: () => 0, sleep: async () => undefined }
    const of = (directory: string, room: object) =>
      watchCondition({
        directory,
        store: { room: { status: () => room } as never },
        problems: async () => Array.from({ length: 9 }, (_, index) => `${index}${'x'.repeat(1_000)}`),
        clock,
      }).get()
    const { problems, disk } = await of('/', { limit })
    expect(problems).toEqual([0, 1, 2].map((index) => `${index}${'x'.repeat(maxProblemLength - 1)}`))
    expect(disk).toEqual({ free: expect.any(Number), total: expect.any(Number), filled: 3, limit: 4 })
    expect((await of('/nowhere/at/all', {})).disk).toBeUndefined()
  })
})

describe('lost members', () => {
  it('are those that left and did not come back, but for banned ones', () => {
    const listeners: ((event: { kind: 'join' | 'leave'; peer: string }) => void)[] = []
    const members = {
      onChange(listener: (event: { kind: 'join' | 'leave'; peer: string }) => void) {
        listeners.push(listener)
        return () => listeners.splice(0).length > 0
      },
      hostsOf: (of: string) => [`host of ${of}`],
    }
    const clock = { now: () => 42, sleep: async () => undefined }
    const lost = watchLostMembers(members, (of) => of !== 'banned', clock)
    const happens = (kind: 'join' | 'leave', ...peers: string[]) => {
      for (const one of peers) for (const listener of listeners) listener({ kind, peer: one })
    }
    happens('join', 'a', 'b', 'banned')
    happens('leave', 'a', 'b', 'banned')
    happens('join', 'b')
    expect(lost.list()).toEqual([{ peer: 'a', sinceMs: 42, hosts: ['host of a'] }])
    for (let index = 0; index < 100; index++) happens('leave', `x${index}`)
    expect(lost.list().length).toBe(64)
    lost[Symbol.dispose]()
    expect(listeners).toEqual([])
  })
})
