import { expect, it } from 'vitest'
import { Outbox } from '../../../src/exchange/peer/outbox.ts'

class Box {
  readonly frames: Uint8Array[] = []
  readonly returned: Uint8Array[] = []
  nowMs = 0
  told = 0
  readonly outbox: Outbox

  constructor() {
    this.outbox = new Outbox({
      clock: { now: () => this.nowMs, sleep: async () => undefined },
      source: {
        beforeWrite: () => void this.told++,
        next: () => this.frames.shift(),
        written: (frame) => void this.returned.push(frame),
      },
    })
  }

  /** The network takes so long for what was written before. */
  async write(ms = 0): Promise<number[]> {
    const batch = this.outbox.take({ frames: true })
    await this.outbox.write(batch, async () => {
      this.nowMs += ms
    })
    return batch.parts.map(({ length }) => length)
  }
}

it('writes messages before the frame, and no more of them than a frame is worth', async () => {
  const box = new Box()
  for (let sent = 0; sent < 5; sent++) box.outbox.push(new Uint8Array(16 * 1024))
  box.frames.push(new Uint8Array(7))
  expect(await box.write()).toEqual([16, 16, 16, 16].map((kibibytes) => kibibytes * 1024).concat(7))
  expect(await box.write()).toEqual([16 * 1024])
  expect(box.told).toBe(2)
  expect(await box.write()).toEqual([])
  expect(box.told).toBe(2)
})

it('takes no frame where none may go, and messages all the same', () => {
  const box = new Box()
  box.frames.push(new Uint8Array(7))
  box.outbox.push(Uint8Array.of(1))
  expect(box.outbox.take({ frames: false })).toEqual({ parts: [Uint8Array.of(1)], frame: undefined })
  expect(box.frames).toHaveLength(1)
})

it('gives the memory of a frame back when what follows it is written', async () => {
  const box = new Box()
  const frame = new Uint8Array(7)
  box.frames.push(frame)
  await box.write()
  expect(box.returned).toEqual([])
  box.outbox.push(Uint8Array.of(1))
  await box.write()
  expect(box.returned).toEqual([frame])
})

it('knows how quickly the peer takes frames by how long the next one waits, the last ones above all', async () => {
  const box = new Box()
  const next = async (ms: number): Promise<number | undefined> => {
    box.frames.push(new Uint8Array(1000))
    await box.write(ms)
    return box.outbox.bytesPerMs
  }
  expect(await next(0)).toBeUndefined()
  expect(await next(10)).toBeCloseTo(100)
  for (let sent = 0; sent < 20; sent++) await next(100)
  expect(await next(100)).toBeCloseTo(10, 1)
  // One that the buffers of the network took at once is no proof of a quick link.
  expect(await next(0)).toBeLessThan(15)
})
