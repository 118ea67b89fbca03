/** Who opens the one connection of two neighbours, and what becomes of two that are opened at once. */
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../../src/base/base.ts'
import type { ExchangeHost } from '../../../src/exchange/contract.ts'
import { exchangeProtocol } from '../../../src/exchange/protocol/messages.ts'
import type { BatchChannel } from '../../../src/wire/wire.ts'
import { openWorld, pieceBytes, someBytes, type TestNode, until, type World, wanted } from '../lab/fixture.ts'

describe('two neighbours that fetch from each other', () => {
  let world: World
  beforeEach(() => {
    world = openWorld()
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
  })

  interface Opening {
    /** Streams that were opened and have not ended. */
    open: number
    opened: number
    fails: boolean
    /** A stream is only there once this has resolved. */
    gate: Promise<void>
  }

  async function node(): Promise<TestNode & { opening: Opening }> {
    const opening: Opening = { open: 0, opened: 0, fails: false, gate: Promise.resolve() }
    const { mesh } = world
    const hostOf = mesh.host.bind(mesh)
    mesh.host = (self) => {
      const host = hostOf(self)
      const open: ExchangeHost['open'] = async (peer, protocol, options) => {
        await opening.gate
        if (opening.fails) throw new Error('a firewall')
        const channel = await host.open(peer, protocol, options)
        opening.open++
        opening.opened++
        return counted(channel, opening)
      }
      return { ...host, open }
    }
    const made = await world.node()
    mesh.host = hostOf
    return { ...made, opening }
  }

  /** Each has a blob that the other wants. */
  async function exchanging(a: TestNode, b: TestNode): Promise<void> {
    const [ofA, ofB] = [await a.holds(someBytes(3 * pieceBytes)), await b.holds(someBytes(3 * pieceBytes))]
    const both = await Promise.all([a.exchange.fetch(wanted(ofB)), b.exchange.fetch(wanted(ofA))])
    expect(both).toEqual([true, true])
    for (const { exchange } of [a, b])
      for (const { faults } of exchange.status().peers) expect(faults).toEqual({})
  }

  it('keep one of two streams that they open at once', async () => {
    const gate = Promise.withResolvers<void>()
    const [a, b] = [await node(), await node()]
    a.opening.gate = gate.promise
    b.opening.gate = gate.promise
    const done = exchanging(a, b)
    gate.resolve()
    await done
    expect(a.opening.opened + b.opening.opened).toBe(2)
    await until('one to be left', () => a.opening.open + b.opening.open === 1)
  })

  it.each([0, 1])('use the one that comes about when the other does not (%i)', async (at) => {
    const both = [await node(), await node()] as const
    const gate = Promise.withResolvers<void>()
    Object.assign(both[at === 0 ? 0 : 1].opening, { gate: gate.promise, fails: true })
    await exchanging(...both)
    gate.resolve()
    expect(both[0].opening.opened + both[1].opening.opened).toBe(1)
  })

  it('open one ahead for who is going to fetch soon, and fetch by that', async () => {
    const [a, b] = [await node(), await node()]
    a.exchange.ready(b.peer)
    await until('it to be open', () => a.opening.open === 1)
    a.exchange.ready(b.peer)
    await exchanging(a, b)
    expect([a.opening.opened, b.opening.opened]).toEqual([1, 0])
  })

  it('keep one of two that both open ahead', async () => {
    const [a, b] = [await node(), await node()]
    a.exchange.ready(b.peer)
    b.exchange.ready(a.peer)
    await until('both to be open', () => a.opening.opened + b.opening.opened === 2)
    await exchanging(a, b)
    await until('one to be left', () => a.opening.open + b.opening.open === 1)
  })

  it('wake up once a second when neither wants anything, and at once for who does', async () => {
    const sleeps: number[] = []
    const clock: Clock = {
      now: () => world.clock.now(),
      sleep: async (ms, options = {}) => {
        sleeps.push(ms)
        // A second that never ends by itself: who wants something is not to wait for it.
        if (ms === 1000 && options.signal !== undefined) await once(options.signal, 'abort')
        else await world.clock.sleep(ms, options)
      },
    }
    const [a, b] = [await world.node({ override: { clock } }), await world.node()]
    await exchanging(a, b)
    await until('a sleep of a second', () => sleeps.at(-1) === 1000)
    const before = sleeps.length
    await exchanging(a, b)
    expect(sleeps.slice(before).some((ms) => ms <= 75)).toBe(true)
  })

  it('take a new one for what the peer has instead of the one before', async () => {
    const [a, b] = [await node(), await node()]
    await exchanging(a, b)
    const host = world.mesh.host(b.peer)
    // As if b had been started anew, while a has not heard of its end.
    const again = await host.open(a.peer, exchangeProtocol, { maxFrameBytes: 1024 })
    await again.send(Uint8Array.of(0xa1, 0x64, 0x74, 0x79, 0x70, 0x65, 0x65, 0x61, 0x6c, 0x69, 0x76, 0x65))
    await until('the one before to end', () => a.opening.open + b.opening.open === 0)
    again.abort(new Error('over'))
  })
})

function counted(channel: BatchChannel, opening: { open: number }): BatchChannel {
  let isOpen = true
  const end = (): void => {
    if (isOpen) opening.open--
    isOpen = false
  }
  return {
    ...channel,
    receiveAll: async (options) => {
      try {
        const frames = await channel.receiveAll(options)
        if (frames === undefined) end()
        return frames
      } catch (error) {
        end()
        throw error
      }
    },
  }
}
