import { Duplex } from 'node:stream'
import { expect, it } from 'vitest'
import { SocketChannel } from '../../../src/exchange/peer/socket-channel.ts'
import { FrameReader, frameIn, frameMemory } from '../../../src/wire/wire.ts'

/** Remembers each write, and those that were held together. */
class Wire extends Duplex {
  readonly writes: Uint8Array[][] = []

  override _read(): void {
    // Nothing comes.
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.writes.push([chunk])
    done()
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: () => void): void {
    this.writes.push(chunks.map(({ chunk }) => chunk))
    done()
  }
}

const large = 20 * 1024

it('writes a large frame that has room in front as one piece with the messages before it', async () => {
  const wire = new Wire()
  const channel = SocketChannel.over(wire)
  const frame = frameIn(frameMemory(large), large).fill(3)
  await channel.sendAll([Uint8Array.of(1), Uint8Array.of(2, 2), frame])
  const [[whole, ...more] = []] = wire.writes
  expect(more).toEqual([])
  expect(whole?.buffer).toBe(frame.buffer)
  const frames = new FrameReader({ maxBytes: large }).push(Uint8Array.from(whole ?? []))
  expect(frames.map(({ length }) => length)).toEqual([1, 2, large])
})

it('leaves a large frame without such room where it is', async () => {
  const wire = new Wire()
  const channel = SocketChannel.over(wire)
  const frame = new Uint8Array(large).fill(3)
  await channel.sendAll([Uint8Array.of(1), frame, Uint8Array.of(2)])
  const [parts = []] = wire.writes
  expect(wire.writes).toHaveLength(1)
  expect(parts.map(({ length }) => length)).toEqual([9, large, 5])
  expect(parts[1]?.buffer).toBe(frame.buffer)
})
