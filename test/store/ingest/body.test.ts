/** How a body that is cut small flows: what is here is taken at once, and in order. */
import { expect, it } from 'vitest'
import { type BodySink, pump, type QueuedBody } from '../../../src/store/ingest/body.ts'

class Sink implements BodySink {
  accepted = 0
  readonly bytes: number[] = []
  readonly #onAdd: () => Promise<void> | undefined

  constructor(onAdd: () => Promise<void> | undefined = () => undefined) {
    this.#onAdd = onAdd
  }

  begin(): void {
    // Nothing to prepare.
  }

  add(chunk: Uint8Array): Promise<void> | undefined {
    this.bytes.push(...chunk)
    this.accepted += chunk.length
    return this.#onAdd()
  }

  async end(): Promise<void> {
    // Everything is where it stays.
  }
}

/** What each read of a socket gave, in pieces. */
class Reads implements QueuedBody {
  waits = 0
  readonly #reads: number[][]
  #queued: number[] = []

  constructor(reads: number[][]) {
    this.#reads = [...reads]
  }

  takeQueued(): Uint8Array | undefined {
    const piece = this.#queued.shift()
    return piece === undefined ? undefined : Uint8Array.of(piece)
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: async () => {
        this.waits++
        this.#queued = [...this.#queued, ...(this.#reads.shift() ?? [])]
        const value = this.takeQueued()
        return value === undefined ? { done: true, value } : { done: false, value }
      },
    }
  }
}

const free = { maxBytes: 100, transfer: false, signal: new AbortController().signal }

it('waits once for what was read at once, however it is cut', async () => {
  for (const onAdd of [() => undefined, () => Promise.resolve()]) {
    const [sink, body] = [new Sink(onAdd), new Reads([[1, 2, 3], [4], [5, 6]])]
    await pump(sink, body, free)
    expect([sink.bytes, body.waits]).toEqual([[1, 2, 3, 4, 5, 6], 4])
  }
})

it('stops between pieces that are here when it is told to, and at the limit', async () => {
  const told = new AbortController()
  const stopping = new Sink(() => void told.abort(new Error('stop')))
  await expect(pump(stopping, new Reads([[1, 2]]), { ...free, signal: told.signal })).rejects.toThrow('stop')
  expect(stopping.bytes).toEqual([1])
  const limited = new Sink()
  await expect(pump(limited, new Reads([[1, 2, 3]]), { ...free, maxBytes: 2 })).rejects.toThrow(
    'larger than 2',
  )
  expect(limited.bytes).toEqual([1, 2])
})
