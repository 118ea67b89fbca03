/** Blobs between exchanges: whole, in part, shared, resumed. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openWorld, pieceBytes, read, someBytes, type World, wanted } from './fixture.ts'

describe('a transfer', () => {
  let world: World
  beforeEach(() => {
    world = openWorld()
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
  })

  it.each([1, 1000, pieceBytes, pieceBytes + 1, 20 * pieceBytes + 7])(
    'brings %d bytes from one holder',
    async (size) => {
      const [holder, asker] = [await world.node(), await world.node()]
      const bytes = someBytes(size)
      const digest = await holder.holds(bytes)
      const blob = await asker.exchange.open(wanted(digest))
      if (blob === undefined) throw new Error('nobody has it')
      expect(blob.size).toBe(size)
      expect(Buffer.compare(await read(blob), bytes)).toBe(0)
      expect(await asker.has(digest)).toBe(true)
      expect([...asker.announced]).toEqual([digest])
      await blob[Symbol.asyncDispose]()
    },
  )
})
