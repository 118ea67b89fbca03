import { expect, it } from 'vitest'
import { copies, readUpTo } from '../../node/chunks.ts'

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
