/** When a node looks only now and then for what its neighbours send, and that nothing is lost by it. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { type Moved, Rests } from '../../../src/exchange/peer/rests.ts'
import { SocketChannel } from '../../../src/exchange/peer/socket-channel.ts'
import { defaultDownloadLimits } from '../../../src/exchange/picker/download-events.ts'

/** How long rests are once a link of so many Mbit/s is known. */
function restAt(megabits: number, moved: Partial<Moved> = {}): number {
  const rests = new Rests()
  let restMs = 0
  for (let turn = 0; turn < 60; turn++) {
    const ms = restMs === 0 ? 50 : restMs
    const receivedBytes = megabits * 125 * ms
    restMs = rests.next({ receivedBytes, sentBytes: 0, isUnderWay: true, ...moved }, ms)
  }
  return restMs
}

describe('rests', () => {
  it('are as long as a small piece takes', () => {
    expect([1, 4, 8, 12, 25, 50, 1000].map((megabits) => restAt(megabits))).toEqual([
      100, 100, 50, 50, 25, 0, 0,
    ])
  })

  it('go by what is sent, too', () => {
    expect(restAt(0.1, { sentBytes: 25_000 })).toBe(100)
    expect(restAt(0.1, { sentBytes: 5_000_000 })).toBe(0)
  })

  it('are not made because little is asked for', () => {
    expect(restAt(4, { isUnderWay: false })).toBe(0)
  })

  it('are not made because a frame never comes to its end', () => {
    expect(restAt(0)).toBe(0)
  })

  it('begin when a link was narrow for a while, and end at once when it is not', () => {
    const rests = new Rests()
    const narrow = { receivedBytes: 20_000, sentBytes: 0, isUnderWay: true }
    expect([1, 2, 3, 4].map(() => rests.next(narrow, 50))).toEqual([0, 0, 0, 100])
    expect(rests.next({ ...narrow, receivedBytes: 8_000_000 }, 100)).toBe(0)
    expect(rests.next(narrow, 50)).toBe(0)
  })

  it('never are longer than a twentieth of the shortest time after which a neighbour counts as gone', () => {
    const moved = fc.record({ receivedBytes: fc.nat(), sentBytes: fc.nat(), isUnderWay: fc.boolean() })
    fc.assert(
      fc.property(fc.array(fc.tuple(moved, fc.integer({ min: 1, max: 10_000 }))), (all) => {
        const rests = new Rests()
        for (const [each, ms] of all) {
          const restMs = rests.next(each, ms)
          expect(restMs).toBeGreaterThanOrEqual(0)
          expect(restMs).toBeLessThanOrEqual(defaultDownloadLimits.deadMs / 20)
        }
      }),
    )
  })
})

describe('a channel whose node rests', () => {
  const open: { destroy(): void }[] = []

  afterEach(() => {
    for (const socket of open.splice(0)) socket.destroy()
  })

  async function pair(): Promise<[Socket, Socket]> {
    const server = createServer({ noDelay: true })
    server.listen({ host: '127.0.0.1', port: 0 })
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const near = connect({ host: '127.0.0.1', port: address.port, noDelay: true })
    const [far] = (await once(server, 'connection')) as [Socket]
    server.close()
    open.push(near, far)
    return [near, far]
  }

  /** As at a tick: when timers are over, sockets are read. */
  const looked = (channel: SocketChannel, rests: boolean): Promise<void> =>
    new Promise((resolve) => setTimeout(() => channel.look({ rests }, resolve), 0))

  it('reads what has come when it looks, and nothing in between', async () => {
    const [near, far] = await pair()
    const [other, echo] = await pair()
    const [mine, theirs] = [SocketChannel.over(near), SocketChannel.over(far)]
    await looked(mine, true)
    let came: Uint8Array[] = []
    void mine.receiveAll().then((frames) => {
      came = frames ?? []
    })
    await theirs.sendAll([Uint8Array.of(1), Uint8Array.of(2)])
    // What was written later, to a socket that is read, comes.
    for (let round = 0; round < 3; round++) {
      other.write('x')
      await once(echo, 'data')
    }
    expect(came).toEqual([])
    await looked(mine, true)
    expect(came).toEqual([Uint8Array.of(1), Uint8Array.of(2)])
    await theirs.sendAll([Uint8Array.of(3)])
    await looked(mine, false)
    expect(await mine.receiveAll()).toEqual([Uint8Array.of(3)])
    await theirs.sendAll([Uint8Array.of(4)])
    expect(await mine.receiveAll()).toEqual([Uint8Array.of(4)])
  })

  it('goes on after a rest in which it was paused', async () => {
    const [near, far] = await pair()
    const [mine, theirs] = [SocketChannel.over(near), SocketChannel.over(far)]
    await looked(mine, true)
    near.pause()
    await looked(mine, false)
    near.resume()
    await theirs.sendAll([Uint8Array.of(1)])
    expect(await mine.receiveAll({ signal: AbortSignal.timeout(30_000) })).toEqual([Uint8Array.of(1)])
  })

  it('hears of the end when it looks', async () => {
    const [near, far] = await pair()
    const mine = SocketChannel.over(near)
    await looked(mine, true)
    const ended = expect(mine.receiveAll()).resolves.toBeUndefined()
    far.end()
    await looked(mine, false)
    await ended
  })
})
