/** One connection between two neighbours: every frame once and in order while it moves, and an end that both see. */
import { duplexPair } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { steadyClock } from '../../../src/base/base.ts'
import { Connection } from '../../../src/exchange/peer/connection.ts'
import { DirectError, type Expectation } from '../../../src/exchange/peer/direct.ts'
import type { DirectAccess } from '../../../src/exchange/peer/move.ts'
import { SocketChannel } from '../../../src/exchange/peer/socket-channel.ts'
import { encodeMessage, type Message } from '../../../src/exchange/protocol/messages.ts'
import { encodeData, maxFrameBytes } from '../../../src/exchange/protocol/raw-frames.ts'
import { type BatchChannel, channelPair } from '../../../src/wire/wire.ts'

const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve))

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await turn()
}

/** Waits as long as anything may still happen: all of it takes turns, none of it time. */
async function settled(isSo: () => boolean): Promise<void> {
  for (let left = 2000; left > 0 && !isSo(); left--) await turn()
}

interface Side {
  connection: Connection
  /** What came: ids of messages, and pieces. */
  heard: number[]
  pieces: number[]
  /** Frames that it has yet to send. */
  toSend: number[]
  isDirect: boolean
  ended: Promise<unknown>
  hasEnded: boolean
  failed: Error[]
}

interface Reach {
  /** Whether the listeners of a and of b can be reached. */
  a: boolean
  b: boolean
}

class Pair {
  readonly a: Side
  readonly b: Side
  readonly stream: ReturnType<typeof channelPair>
  readonly sockets: ReturnType<typeof duplexPair>[] = []
  readonly #tickets = new Map<number, PromiseWithResolvers<SocketChannel | undefined>>()
  readonly #pauses: number[]
  #at = 0

  /** `pauses` says for how many turns each thing that is waited for is late, in turn. */
  constructor(reach: Reach, pauses: number[] = [0]) {
    this.#pauses = pauses
    this.stream = channelPair({ maxFrameBytes, windowBytes: 4096 })
    this.a = this.#side(this.stream.a, { leads: true, listens: reach.a, reaches: reach.b })
    this.b = this.#side(this.stream.b, { leads: false, listens: reach.b, reaches: reach.a })
  }

  get sides(): [Side, Side] {
    return [this.a, this.b]
  }

  async pause(): Promise<void> {
    await turns(this.#pauses[this.#at++ % this.#pauses.length] ?? 0)
  }

  #side(channel: BatchChannel, way: { leads: boolean; listens: boolean; reaches: boolean }): Side {
    const side: Omit<Side, 'connection' | 'ended'> = {
      heard: [],
      pieces: [],
      toSend: [],
      isDirect: false,
      hasEnded: false,
      failed: [],
    }
    const connection = new Connection({
      peer: 'the other',
      leads: way.leads,
      clock: steadyClock,
      access: this.#access(way.reaches, side.failed),
      source: {
        beforeWrite: () => undefined,
        next: () => {
          const piece = side.toSend.shift()
          return piece === undefined
            ? undefined
            : encodeData({ id: 1, piece, offset: 0, bytes: new Uint8Array(3000) })
        },
        written: () => undefined,
      },
      onFrame: (frame) => {
        if (frame.type === 'data') side.pieces.push(frame.piece)
        else if ('id' in frame) side.heard.push(frame.id)
        return undefined
      },
      onBytes: () => undefined,
    })
    const ended = connection.run(this.#late(channel)).then(
      () => 'in order',
      (error: unknown) => error,
    )
    const whole: Side = Object.assign(side, { connection, ended })
    void ended.then(() => {
      whole.hasEnded = true
    })
    return whole
  }

  #late(channel: BatchChannel): BatchChannel {
    return {
      send: async (frame) => await channel.send(frame),
      receive: async () => await channel.receive(),
      sendAll: async (frames) => {
        await this.pause()
        await channel.sendAll(frames)
      },
      receiveAll: async () => {
        await this.pause()
        return await channel.receiveAll()
      },
      close: async () => await channel.close(),
      abort: (reason) => channel.abort(reason),
    }
  }

  #access(reaches: boolean, failed: Error[]): DirectAccess {
    return {
      expect: (): Expectation => {
        const arrival = Promise.withResolvers<SocketChannel | undefined>()
        const ticket = this.#tickets.size
        this.#tickets.set(ticket, arrival)
        const key = new Uint8Array(32).fill(ticket)
        return {
          offer: { port: 1, fingerprint: key, ticket: key },
          arrival: arrival.promise,
          from: () => undefined,
          cancel: () => arrival.resolve(undefined),
        }
      },
      connect: async ({ ticket }) => {
        await this.pause()
        if (!reaches) throw new DirectError('a firewall')
        const sockets = duplexPair()
        this.sockets.push(sockets)
        this.#tickets.get(ticket[0] ?? -1)?.resolve(SocketChannel.over(sockets[0]))
        await this.pause()
        return SocketChannel.over(sockets[1])
      },
      start: (work) => void work(new AbortController().signal),
      onFailed: (error) => failed.push(error),
    }
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at)

function say(side: Side, id: number): void {
  side.connection.send({ type: 'done', id })
}

function give(side: Side, piece: number): void {
  side.toSend.push(piece)
  side.connection.wake()
}

describe('a connection', () => {
  it.each<[string, Reach, boolean]>([
    ['both reach each other', { a: true, b: true }, true],
    ['only the one that leads can be reached', { a: true, b: false }, true],
    ['only the other can be reached', { a: false, b: true }, true],
    ['neither can be reached', { a: false, b: false }, false],
  ])('goes over to a direct one, in whichever direction there is one: %s', async (_, reach, isDirect) => {
    const pair = new Pair(reach)
    say(pair.a, 0)
    pair.b.connection.preferDirect()
    await settled(() => pair.sides.every(({ connection }) => connection.isDirect))
    expect(pair.sides.map(({ connection }) => connection.isDirect)).toEqual([isDirect, isDirect])
    const before = { ...pair.stream.sent }
    for (const side of pair.sides) {
      say(side, 1)
      give(side, 1)
    }
    await settled(() => pair.sides.every(({ pieces }) => pieces.length === 1))
    expect(pair.a.heard).toEqual([1])
    expect(pair.b.heard).toEqual([0, 1])
    if (isDirect) expect({ ...pair.stream.sent }).toEqual(before)
    expect(pair.sides.map(({ failed }) => failed.length)).toEqual(isDirect ? [0, 0] : [1, 1])
    pair.a.connection.close()
    expect(await pair.a.ended).toBe('in order')
    expect(await pair.b.ended).toBe('in order')
  })

  it('gives every frame once and in order, however it moves meanwhile, and ends for both where it breaks', async () => {
    const step = fc.record({
      what: fc.constantFrom('say', 'say', 'give', 'give', 'move', 'pass'),
      side: fc.constantFrom<'a' | 'b'>('a', 'b'),
      turns: fc.nat({ max: 4 }),
    })
    const scene = fc.record({
      reach: fc.record({ a: fc.boolean(), b: fc.boolean() }),
      pauses: fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 20 }),
      steps: fc.array(step, { maxLength: 40 }),
      breaks: fc.constantFrom('nothing', 'nothing', 'stream', 'socket'),
      breaksAt: fc.nat({ max: 40 }),
    })
    await fc.assert(
      fc.asyncProperty(scene, async ({ reach, pauses, steps, breaks, breaksAt }) => {
        const pair = new Pair(reach, pauses)
        const sent = { a: { said: 0, given: 0 }, b: { said: 0, given: 0 } }
        let isBroken = false
        const breakIt = (): void => {
          if (breaks === 'stream') pair.stream.a.abort(new Error('cut'))
          const socket = pair.sockets.at(-1)?.[0]
          if (breaks === 'socket') socket?.destroy()
          isBroken = breaks === 'stream' || (breaks === 'socket' && socket !== undefined)
        }
        for (const [at, { what, side, turns: count }] of steps.entries()) {
          if (at === breaksAt) breakIt()
          if (what === 'say') say(pair[side], sent[side].said++)
          else if (what === 'give') give(pair[side], sent[side].given++)
          else if (what === 'move') pair[side].connection.preferDirect()
          await turns(count)
        }
        if (breaksAt >= steps.length) breakIt()
        if (isBroken && breaks === 'stream') {
          await settled(() => pair.sides.every(({ hasEnded }) => hasEnded))
          expect(pair.sides.map(({ hasEnded }) => hasEnded)).toEqual([true, true])
        }
        const isAll = (): boolean =>
          pair.a.heard.length === sent.b.said &&
          pair.b.heard.length === sent.a.said &&
          pair.a.pieces.length === sent.b.given &&
          pair.b.pieces.length === sent.a.given
        await settled(() => isAll() || pair.sides.every(({ hasEnded }) => hasEnded))
        // A socket may break before anything was moved to it, and then nobody needs it.
        if (!isBroken || !pair.a.hasEnded) expect(isAll()).toBe(true)
        for (const [mine, theirs] of [
          ['a', 'b'],
          ['b', 'a'],
        ] as const) {
          expect(pair[mine].heard).toEqual(upTo(pair[mine].heard.length))
          expect(pair[mine].pieces).toEqual(upTo(pair[mine].pieces.length))
          expect(pair[mine].heard.length).toBeLessThanOrEqual(sent[theirs].said)
        }
        for (const { connection } of pair.sides) connection.abort(new Error('over'))
        await Promise.all(pair.sides.map(({ ended }) => ended))
      }),
      { numRuns: 200 },
    )
  })

  it('puts small messages and a piece into one write', async () => {
    const pair = new Pair({ a: true, b: true })
    let writes = 0
    const { sendAll } = pair.stream.a
    pair.stream.a.sendAll = async (frames, options) => {
      writes++
      await sendAll(frames, options)
    }
    for (const id of upTo(20)) say(pair.a, id)
    give(pair.a, 0)
    await settled(() => pair.b.pieces.length === 1)
    expect(pair.b.heard).toEqual(upTo(20))
    expect(writes).toBe(1)
  })

  it('ends for both when the peer is cut off on the stream, also once nothing travels there', async () => {
    const pair = new Pair({ a: true, b: true })
    say(pair.a, 0)
    pair.a.connection.preferDirect()
    await settled(() => pair.sides.every(({ connection }) => connection.isDirect))
    pair.stream.b.abort(new Error('banned'))
    await settled(() => pair.sides.every(({ hasEnded }) => hasEnded))
    expect(await pair.a.ended).toMatchObject({ code: 'CHANNEL_BROKEN' })
    expect(await pair.b.ended).toMatchObject({ code: 'CHANNEL_BROKEN' })
    expect(pair.sockets.flat().every(({ destroyed }) => destroyed)).toBe(true)
  })

  it.each<[string, Message[]]>([
    ['goes where there is nothing', [{ type: 'moved' }]],
    ['wants to be dialled before it said where it listens', [{ type: 'dial' }]],
    ['says twice where it listens', [offer(1), offer(2)]],
    ['speaks on after it has moved', [offer(1), { type: 'moved' }, { type: 'done', id: 1 }]],
  ])('is broken off when the peer %s', async (_, messages) => {
    const pair = channelPair({ maxFrameBytes })
    const connection = new Connection({
      peer: 'a hostile one',
      leads: false,
      clock: steadyClock,
      access: {
        expect: () => ({
          offer: offer(7),
          arrival: new Promise(() => undefined),
          from: () => undefined,
          cancel: () => undefined,
        }),
        connect: async () => await Promise.reject(new DirectError('nobody is there')),
        start: (work) => void work(new AbortController().signal),
        onFailed: () => undefined,
      },
      source: { beforeWrite: () => undefined, next: () => undefined, written: () => undefined },
      onFrame: () => undefined,
      onBytes: () => undefined,
    })
    const running = connection.run(pair.a)
    await pair.b.sendAll(messages.map(encodeMessage))
    await expect(running).rejects.toMatchObject({ code: 'MALFORMED' })
  })
})

function offer(key: number): { type: 'direct'; port: number; fingerprint: Uint8Array; ticket: Uint8Array } {
  const bytes = new Uint8Array(32).fill(key)
  return { type: 'direct', port: 1, fingerprint: bytes, ticket: bytes }
}

describe('frames over a socket', () => {
  it('hold the sender back while nothing is received', async () => {
    const [near, far] = duplexPair()
    const [mine, theirs] = [SocketChannel.over(near), SocketChannel.over(far)]
    let sent = 0
    const count = 60
    const sending = (async () => {
      for (; sent < count; sent++) await mine.send(new Uint8Array(maxFrameBytes))
      await mine.close()
    })()
    await turns(300)
    expect(sent).toBeLessThan(20)
    let received = 0
    for (let frames = await theirs.receiveAll(); frames !== undefined; frames = await theirs.receiveAll()) {
      received += frames.length
    }
    expect(received).toBe(count)
    await sending
  })

  it('are not waited for by who sends the next when the socket fails under them', async () => {
    const [near] = duplexPair()
    const mine = SocketChannel.over(near)
    await mine.send(new Uint8Array(maxFrameBytes))
    let failure: unknown
    void mine.send(new Uint8Array(1)).catch((error: unknown) => {
      failure = error
    })
    await turns(10)
    expect(failure).toBeUndefined()
    near.destroy()
    await settled(() => failure !== undefined)
    expect(failure).toMatchObject({ code: 'CHANNEL_BROKEN' })
  })

  it('are counted, not only their bytes: of tiny ones no more are taken in than of large ones', async () => {
    const [near, far] = duplexPair()
    const channel = SocketChannel.over(far)
    const tiny = Buffer.concat(Array.from({ length: 4096 }, () => Uint8Array.of(0, 0, 0, 1, 9)))
    let written = 0
    const flood = (): void => {
      for (; written < 200; written++) if (!near.write(Uint8Array.from(tiny))) break
    }
    near.on('drain', flood)
    flood()
    await turns(300)
    expect(written).toBeLessThan(20)
    expect((await channel.receiveAll())?.length).toBeLessThan(20 * 4096)
  })
})
