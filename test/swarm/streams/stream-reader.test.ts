/** What a peer sends in small parts costs what the same costs in one. */
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Stream } from '@libp2p/interface'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteQueue } from '../../../src/swarm/streams/byte-queue.ts'
import { StreamReader } from '../../../src/swarm/streams/stream-reader.ts'

function openReader() {
  const stream = Object.assign(new EventTarget(), {
    status: 'open',
    readStatus: 'readable',
    remoteWriteStatus: 'writable',
    readBufferLength: 0,
    pause: () => undefined,
  })
  const reader = new StreamReader(stream as unknown as Stream).attach()
  const send = (data: Uint8Array): void => {
    stream.dispatchEvent(Object.assign(new Event('message'), { data }))
  }
  return { reader, send }
}

describe('a stream', () => {
  test('gives 262,144 bytes that came one by one in a few chunks', async () => {
    const { reader, send } = openReader()
    const waiting = reader.ready(262_144)
    for (let at = 0; at < 262_144; at++) send(Uint8Array.of(at))
    expect(await waiting).toBe(true)
    let chunks = 0
    for (let at = 0; reader.buffered > 0; chunks++) {
      for (const byte of reader.takeChunk(1024 * 1024)) if (byte !== at++ % 256) throw new Error(`at ${at}`)
    }
    expect(chunks).toBeLessThan(100)
  })

  test('does not copy a message that is taken before the next', () => {
    const queue = new ByteQueue()
    const message = Uint8Array.of(1, 2, 3)
    queue.push(message)
    expect(queue.takeChunk(10)).toBe(message)
  })

  test('leaves little behind of what was taken from it', async () => {
    setFlagsFromString('--expose-gc')
    globalThis.gc = runInNewContext('gc')
    const { reader, send } = openReader()
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    for (let sent = 0; sent < 3000; sent++) {
      send(new Uint8Array(64 * 1024))
      reader.takeChunk(64 * 1024)
      if (sent % 50 === 0) await turn()
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    expect(most).toBeLessThan(40 * 2 ** 20)
  })

  test('gives the bytes in their order, and never writes to what it gave', () => {
    const step = fc.oneof(
      fc.record({ push: fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: 3000 })) }),
      fc.record({ take: fc.integer({ min: 1, max: 2000 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new ByteQueue()
        let [sent, got] = [0, 0]
        const given: { bytes: Uint8Array; at: number }[] = []
        for (const each of steps) {
          if ('push' in each) queue.push(new Uint8Array(each.push).map(() => sent++ % 251))
          else if (queue.length > 0) {
            const ahead = queue.peek(3)
            const bytes = queue.takeChunk(each.take)
            expect(bytes.length).toBeLessThanOrEqual(each.take)
            for (let at = 0; at < ahead.length; at++) expect(ahead[at]).toBe((got + at) % 251)
            given.push({ bytes, at: got })
            got += bytes.length
          }
          expect(queue.length).toBe(sent - got)
        }
        for (const { bytes, at } of given) expect(bytes).toEqual(bytes.map((_, i) => (at + i) % 251))
      }),
    )
  })
})
