/** Members that do not answer a pulse, whatever else comes from them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Background, silentLogger } from '../../../src/base/base.ts'
import { openPulse, type Pulse, type PulseOptions } from '../../../src/swarm/members/pulse.ts'
import type { ChannelHandler } from '../../../src/swarm/streams/host.ts'
import { type Channel, channelPair } from '../../../src/wire/wire.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'

const answerMs = 6_000
const beatMs = 12_000

let clock: SteppedClock
let tasks: Background
let silent: string[]
let silences: PromiseWithResolvers<string>
/** How long ago the member was heard of. */
let silentMs: number
/** The member's end of the channel over which it is asked. */
let member: Channel
let handler: ChannelHandler
let pulse: Pulse
let open: (peer: string) => Promise<Channel>

beforeEach(async () => {
  clock = new SteppedClock()
  tasks = new Background('the test', silentLogger)
  silent = []
  silences = Promise.withResolvers()
  silentMs = 0
  const pair = channelPair()
  member = pair.b
  open = async () => pair.a
  pulse = await openPulse({
    self: 'a',
    host: {
      handle: async (_protocol: string, _options: unknown, handle: ChannelHandler) => {
        handler = handle
      },
      open: (peer: string) => open(peer),
      silentMs: () => silentMs,
    },
    tasks,
    clock,
    random: () => 0.5,
    logger: silentLogger,
    onSilence: (peer: string) => {
      silent.push(peer)
      silences.resolve(peer)
    },
  } as unknown as PulseOptions)
})
afterEach(async () => {
  await tasks[Symbol.asyncDispose]()
})

/** Lets so many times pass for which an answer is waited, each begun before it is over. */
async function pass(times: number, ms: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    await clock.untilAsleep(ms)
    clock.advance(ms)
  }
}

/** Lets so much time pass, with what is done in each tenth of a second. */
async function passTurns(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100)
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('a member that was sent a pulse', () => {
  it('and from which nothing comes is not waited for', async () => {
    silentMs = answerMs + 1
    pulse.joined('b')
    await member.receive()
    await pass(1, answerMs)
    expect(await silences.promise).toBe('b')
  })

  it('is waited for while its bytes come, and then beats on', async () => {
    pulse.joined('b')
    const frame = await member.receive()
    await pass(29, answerMs)
    if (frame === undefined) throw new Error('a pulse was sent')
    await member.send(frame)
    await clock.untilAsleep(1_250)
    expect(silent).toEqual([])
    expect(pulse.latencyMs('b')).toBeGreaterThanOrEqual(0)
  })

  it('is not waited for more than three minutes, whatever else it sends', async () => {
    pulse.joined('b')
    await member.receive()
    await pass(30, answerMs)
    expect(await silences.promise).toBe('b')
    expect(silent).toEqual(['b'])
  })
})

describe('members that are sent pulses', () => {
  it('are sent them at once, so that the node wakes for all of them together', async () => {
    const frames: string[] = []
    const answer = async (peer: string, channel: Channel): Promise<void> => {
      for (;;) {
        const frame = await channel.receive()
        if (frame === undefined) return
        frames.push(`${peer} ${clock.now() - startMs}`)
        await channel.send(frame)
      }
    }
    const startMs = clock.now()
    open = async (peer) => {
      const { a, b } = channelPair()
      void Promise.allSettled([answer(peer, b)])
      return a
    }
    const peers = ['b', 'c', 'd']
    for (const peer of peers) {
      pulse.joined(peer)
      await passTurns(300)
    }
    await passTurns(3_000)
    frames.length = 0
    await passTurns(20_000)
    const moments = new Set(frames.map((frame) => frame.slice(2)))
    expect(frames).toHaveLength(12)
    expect(moments.size).toBe(4)
    expect(silent).toEqual([])
  })
})

describe('a member that is to send a pulse', () => {
  it('is not waited for more than three minutes either', async () => {
    const { a } = channelPair()
    const served = handler(a as never, 'b', { signal: new AbortController().signal })
    const failed = expect(served).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
    await pass(Math.ceil(180_000 / beatMs), beatMs)
    await failed
    expect(silent).toEqual(['b'])
  })
})
