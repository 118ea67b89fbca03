/** Sockets that are read into lent memory, over real TLS: this reaches beneath what Node documents, so a Node that changed shows here. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { createSecureContext, connect as secure, TLSSocket } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { createCertificate } from '../../../src/exchange/peer/certificate.ts'
import { SocketChannel } from '../../../src/exchange/peer/socket-channel.ts'
import { lendMemory } from '../../../src/exchange/peer/socket-handle.ts'
import { someBytes } from '../lab/fixture.ts'

const open: Socket[] = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy()
})

async function tlsPair(): Promise<{ near: TLSSocket; far: TLSSocket }> {
  const { certificate, key } = createCertificate()
  const secureContext = createSecureContext({ cert: certificate, key })
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const came = once(server, 'connection')
  const address = server.address()
  const dialling = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1')
  const [accepted] = await came
  server.close()
  const far = new TLSSocket(accepted, { isServer: true, secureContext })
  const near = secure({ socket: dialling, rejectUnauthorized: false })
  open.push(near, far)
  await Promise.all([once(near, 'secureConnect'), once(far, 'secure')])
  return { near, far }
}

/** Writes chunk after chunk for as long as the other side takes them; returns how many bytes that were, live. */
function flood(socket: TLSSocket, chunk: Uint8Array): { bytes: number } {
  const written = { bytes: 0 }
  const more = (): void => {
    do written.bytes += chunk.length
    while (socket.write(Uint8Array.from(chunk)))
  }
  socket.on('drain', more)
  more()
  return written
}

/** Until nothing more is taken in: what is on its way between two sockets takes turns, and no time of its own. */
async function still(read: () => number): Promise<number> {
  for (let before = -1, same = 0; same < 200; ) {
    await turn()
    same = read() === before ? same + 1 : 0
    before = read()
  }
  return read()
}

describe('lent memory', () => {
  it('gets all that comes, what came before it was lent, too, and the end is told as ever', async () => {
    const { near, far } = await tlsPair()
    const sent = someBytes(3_000_000)
    near.write(sent.subarray(0, 10))
    await once(far, 'readable')
    const taken: Uint8Array[] = []
    const memories = new Set<ArrayBufferLike>()
    const isLent = lendMemory(far, (bytes) => {
      taken.push(Uint8Array.from(bytes))
      if (taken.length > 1) memories.add(bytes.buffer)
    })
    expect(isLent).toBe(true)
    const ended = once(far, 'end')
    far.resume()
    near.end(sent.subarray(10))
    await ended
    expect(Buffer.compare(Buffer.concat(taken), sent)).toBe(0)
    expect(memories.size).toBe(1)
  })

  it('is filled no more once the socket was paused for what came before', async () => {
    const { near, far } = await tlsPair()
    near.write(someBytes(10))
    await once(far, 'readable')
    let taken = 0
    lendMemory(far, (bytes) => {
      taken += bytes.length
      far.pause()
    })
    const written = flood(near, someBytes(100_000))
    await still(() => written.bytes)
    expect(taken).toBe(10)
    far.resume()
    await still(() => taken)
    expect(taken).toBeGreaterThan(10)
  })

  it('is not to be had of what is no socket, nor twice', async () => {
    const { far } = await tlsPair()
    expect(lendMemory(duplexPair()[0], () => undefined)).toBe(false)
    expect(lendMemory(far, () => undefined)).toBe(true)
    expect(lendMemory(far, () => undefined)).toBe(false)
  })

  it.each([
    ['large frames', Buffer.concat([Uint8Array.of(0, 3, 0, 0), new Uint8Array(0x30000)])],
    ['tiny ones', Buffer.concat(Array.from({ length: 4096 }, () => Uint8Array.of(0, 0, 0, 1, 9)))],
  ])('takes nothing in while %s wait to be received, also when it is looked at', async (_, chunk) => {
    const { near, far } = await tlsPair()
    const written = flood(near, chunk)
    const channel = SocketChannel.over(far)
    const takenBytes = async (): Promise<number> => {
      await still(() => written.bytes)
      return channel.moved().receivedBytes
    }
    const first = await takenBytes()
    expect(first).toBeGreaterThan(10_000)
    expect(first).toBeLessThan(3 * 1024 * 1024)
    for (let looks = 0; looks < 50; looks++) {
      const looked = Promise.withResolvers<void>()
      channel.look({ rests: looks % 2 === 0 }, looked.resolve)
      await looked.promise
    }
    expect(await takenBytes()).toBe(0)
    expect((await channel.receiveAll())?.length).toBeGreaterThan(0)
    channel.look({ rests: false }, () => undefined)
    expect(await takenBytes()).toBeGreaterThan(10_000)
  })
})
