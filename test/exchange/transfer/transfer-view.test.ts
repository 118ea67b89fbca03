/** What a transfer shows while it runs. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openWorld, pieceBytes, repository, someBytes, until, type World, wanted } from '../lab/fixture.ts'

describe('the view of a transfer', () => {
  let world: World
  beforeEach(() => {
    world = openWorld()
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
  })

  it('is undefined for what is not on its way', async () => {
    const node = await world.node()
    const digest = await node.holds(someBytes(1))
    expect(node.exchange.observe(digest)).toBeUndefined()
  })

  it('says which pieces are here, and what each peer holds and sent', async () => {
    const seeder = await world.node()
    const without = await world.node()
    const bytes = someBytes(30 * pieceBytes)
    const digest = await seeder.holds(bytes)
    const downloader = await world.node({ limits: { downloadBytesPerSecond: 4 * 1024 * 1024 } })
    const fetching = downloader.exchange.fetch(wanted(digest))
    await until('some of it', () => (downloader.exchange.observe(digest)?.held ?? 0) > 2)
    const view = downloader.exchange.observe(digest)
    expect(view).toMatchObject({
      digest,
      repositories: [repository],
      size: bytes.length,
      pieceBytes,
      pieces: 30,
      proving: false,
    })
    const bits = [...(view?.bitfield ?? [])].flatMap((byte) => [...byte.toString(2)].map(Number))
    expect(bits.filter((bit) => bit === 1).length).toBe(view?.held)
    const states = new Map(view?.peers.map((peer) => [peer.peer, peer]))
    expect(states.get(without.peer)).toMatchObject({ state: 'absent', held: 0, receivedBytes: 0 })
    expect(states.get(seeder.peer)).toMatchObject({ state: 'ready', held: 30 })
    expect(states.get(seeder.peer)?.receivedBytes).toBeGreaterThanOrEqual((view?.held ?? 0) * pieceBytes)
    expect(await fetching).toBe(true)
    await until('its end', () => downloader.exchange.observe(digest) === undefined)
  })
})
