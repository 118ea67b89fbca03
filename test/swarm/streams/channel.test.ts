import { fork } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, type Swarm, tokenOf } from '../../../src/swarm/swarm.ts'
import type { Channel } from '../../../src/wire/wire.ts'
import { connected, newCluster, startSwarm, type TestSwarm, until } from '../fixture.ts'

const protocol = '/test/1'
const maxFrameBytes = 1024 * 1024
const mebibyte = 1024 * 1024

let stack: AsyncDisposableStack
let cluster: Cluster
let a: TestSwarm
let b: TestSwarm

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  cluster = await newCluster(stack)
  a = await startSwarm(stack, { cluster })
  b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
  await until('both to be connected', () => connected(a, b))
})
afterEach(async () => {
  await stack.disposeAsync()
})

async function handle(work: (channel: Channel) => Promise<void>, swarm: Swarm = a.swarm): Promise<void> {
  await swarm.handle(protocol, { maxFrameBytes, maxInboundPerPeer: 40 }, work)
}

async function open(): Promise<Channel> {
  return await b.swarm.open(a.swarm.peerId, protocol, { maxFrameBytes })
}

describe('channel', () => {
  test('carries frames of every size, empty and largest included, and its end', async () => {
    await handle(async (channel) => {
      for (let frame = await channel.receive(); frame !== undefined; frame = await channel.receive()) {
        await channel.send(frame)
      }
    })
    const channel = await open()
    for (const size of [0, 1, 3, 4, 65_535, 262_060, 262_064, 262_065, maxFrameBytes]) {
      const frame = new Uint8Array(size).map((_, at) => at % 251)
      await channel.send(frame)
      const back = await channel.receive()
      expect(Buffer.compare(back ?? Buffer.from('none'), frame)).toBe(0)
    }
    await channel.close()
    expect(await channel.receive()).toBeUndefined()
  })

  test('speaks the first of several protocols that the peer knows', async () => {
    await handle(async (channel) => {
      const frame = await channel.receive()
      if (frame !== undefined) await channel.send(frame)
    })
    const channel = await b.swarm.open(a.swarm.peerId, ['/test/2', protocol], { maxFrameBytes })
    await channel.send(Uint8Array.from([1]))
    expect(await channel.receive()).toEqual(Uint8Array.from([1]))
    await expect(b.swarm.open(a.swarm.peerId, ['/test/2'], { maxFrameBytes })).rejects.toMatchObject({
      code: 'PEER_UNREACHABLE',
    })
  })

  test('keeps the order of frames that were sent at once, and lets their memory be used again', async () => {
    const got: number[] = []
    const done = Promise.withResolvers<void>()
    await handle(async (channel) => {
      for (let frame = await channel.receive(); frame !== undefined; frame = await channel.receive()) {
        got.push(frame[0] ?? -1)
      }
      done.resolve()
    })
    const channel = await open()
    const memory = new Uint8Array(300_000)
    const sends = Array.from({ length: 20 }, async (_, i) => {
      memory[0] = i
      await channel.send(memory)
    })
    memory[0] = 99
    await Promise.all(sends)
    await channel.close()
    await done.promise
    expect(got).toEqual(Array.from({ length: 20 }, (_, i) => i))
  })

  test('refuses a frame that is too large, on both sides, and penalises the sender', async () => {
    const failure = Promise.withResolvers<unknown>()
    await handle(async (channel) => {
      try {
        await channel.receive()
      } catch (error) {
        failure.resolve(error)
        throw error
      }
    })
    const small = await open()
    await expect(small.send(new Uint8Array(maxFrameBytes + 1))).rejects.toMatchObject({ code: 'TOO_LARGE' })
    const large = await b.swarm.open(a.swarm.peerId, protocol, { maxFrameBytes: maxFrameBytes * 4 })
    const sending = large.send(new Uint8Array(maxFrameBytes + 1)).catch((error: unknown) => error)
    expect(await failure.promise).toMatchObject({ code: 'TOO_LARGE' })
    await sending
    await expect(large.receive()).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
  })

  test('an abort on one side fails the other', async () => {
    const failure = Promise.withResolvers<unknown>()
    await handle(async (channel) => {
      await channel.receive()
      await channel.send(new Uint8Array(1))
      await channel.receive().catch(failure.resolve)
    })
    const channel = await open()
    await channel.send(new Uint8Array(1))
    await channel.receive()
    channel.abort(new Error('enough'))
    expect(await failure.promise).toMatchObject({ code: 'CHANNEL_BROKEN' })
    await expect(channel.send(new Uint8Array(1))).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
  })

  test('a receive that was aborted took nothing', async () => {
    const go = Promise.withResolvers<void>()
    await handle(async (channel) => {
      await go.promise
      await channel.send(Uint8Array.of(7))
    })
    const channel = await open()
    const stop = new AbortController()
    const receiving = channel.receive({ signal: stop.signal })
    stop.abort(new Error('not now'))
    await expect(receiving).rejects.toThrow('not now')
    go.resolve()
    expect(await channel.receive()).toEqual(Uint8Array.of(7))
  })

  test('more channels than the protocol allows are broken ones', async () => {
    const never = Promise.withResolvers<void>()
    await handle(async () => await never.promise)
    const channels = await Promise.all(Array.from({ length: 42 }, open))
    const broken: unknown[] = []
    for (const channel of channels) channel.receive().catch((error: unknown) => broken.push(error))
    await until('the surplus to be refused', () => broken.length === 2)
    never.resolve()
  })

  test('a slow consumer bounds what the sender can send: 256 MiB in constant memory', {
    timeout: 60_000,
  }, async () => {
    const frames = 256
    const frame = new Uint8Array(maxFrameBytes)
    let sent = 0
    await handle(async (channel) => {
      for (; sent < frames; sent++) await channel.send(frame)
    })
    const channel = await open()
    let ahead = 0
    for (let received = 1; received <= frames; received++) {
      expect((await channel.receive())?.length).toBe(maxFrameBytes)
      // A turn of the event loop for each frame lets a sender that is not held back run away.
      if (received < frames / 4) await new Promise<void>((resolve) => setImmediate(resolve))
      ahead = Math.max(ahead, sent - received)
    }
    expect(ahead * mebibyte).toBeLessThan(8 * mebibyte)
  })

  test('a consumer that stops takes no more than the window and the buffers', async () => {
    const frame = new Uint8Array(maxFrameBytes)
    let sent = 0
    const heldBack = Promise.withResolvers<unknown>()
    const longEnough = new AbortController()
    await handle(async (channel) => {
      try {
        for (; sent < 256; sent++) await channel.send(frame, longEnough)
        heldBack.resolve('sent')
      } catch (error) {
        heldBack.resolve(error)
        throw error
      }
    })
    const channel = await open()
    await channel.receive()
    const over = setTimeout(() => longEnough.abort(new Error('long enough')), 500)
    expect(await heldBack.promise).toMatchObject({ message: 'long enough' })
    clearTimeout(over)
    expect(sent).toBeLessThan(8)
  })

  test('a killed peer is an error, though libp2p calls it an end', async () => {
    const child = fork(new URL('../bulk-child.ts', import.meta.url), [tokenOf(cluster), b.address])
    try {
      const [ready] = await once(child, 'message')
      const peer = String(ready)
      const channel = await b.swarm.open(peer, '/bulk/1', { maxFrameBytes })
      let received = 0
      const reading = (async () => {
        for (let frame = await channel.receive(); frame !== undefined; frame = await channel.receive()) {
          received += frame.length
          if (received > 20 * mebibyte && !child.killed) child.kill('SIGKILL')
        }
      })()
      await expect(reading).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
      expect(received).toBeLessThan(1024 * mebibyte)
    } finally {
      child.kill('SIGKILL')
    }
  })
})
