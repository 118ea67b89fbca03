import { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { copies, pour, readUpTo } from '../../node/chunks.ts'

async function* letters(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

it('gathers chunks up to the limit, and none beyond it', async () => {
  expect((await readUpTo(letters('ab', 'c'), 3))?.toString()).toBe('abc')
  expect(await readUpTo(letters(), 0)).toEqual(Buffer.alloc(0))
  let given = 0
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (; ; given++) yield Buffer.from('x')
  }
  expect(await readUpTo(endless(), 3)).toBeUndefined()
  expect(given).toBe(3)
})

it('keeps what a chunk said when its memory is used again', async () => {
  const memory = new Uint8Array(1)
  async function* reused(): AsyncGenerator<Uint8Array> {
    for (memory[0] = 1; memory[0] < 4; memory[0]++) yield memory
  }
  expect(await readUpTo(copies(reused()), 3)).toEqual(Buffer.from([1, 2, 3]))
})

describe('pouring', () => {
  it('gives each chunk away before the next is made, whose memory it has', async () => {
    const memory = new Uint8Array(1)
    async function* reused(): AsyncGenerator<Uint8Array> {
      for (memory[0] = 1; memory[0] < 4; memory[0]++) yield memory
    }
    const taken: (number | undefined)[] = []
    const to = new Writable({
      highWaterMark: 1024,
      write(chunk: Uint8Array, _encoding, done) {
        setImmediate(() => done(void taken.push(chunk[0])))
      },
    })
    await pour(reused(), to)
    expect(taken).toEqual([1, 2, 3])
    expect(to.writableFinished).toBe(true)
  })

  it('ends with what the chunks fail with, and closes what they went to', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a')
      throw new RangeError('no more')
    }
    const to = new Writable({ write: (_chunk, _encoding, done) => done() })
    await expect(pour(broken(), to)).rejects.toThrow('no more')
    expect(to.destroyed).toBe(true)
  })

  it.each([
    ['fails', new Error('refused'), 'refused'],
    ['is closed', undefined, 'the other side closed the connection'],
  ])('ends where what they go to %s while it has one of them', async (_, error, message) => {
    let given = 0
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; ; given++) yield Buffer.from('x')
    }
    // It never says that it has written.
    const to = new Writable({ write: () => void setImmediate(() => to.destroy(error)) })
    await expect(pour(endless(), to)).rejects.toThrow(message)
    expect(given).toBe(0)
    await expect(pour(letters('late'), to)).rejects.toThrow()
  })
})
