/** What a node says of its disk to those who place images. */
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { firstRoom, offeredRoom } from '../../node/offered-room.ts'
import type { RosterRow } from '../../src/placement/roster.ts'
import { openHonestNode } from '../hostile/honest-node.ts'
import { temporaryFolder, until } from '../swarm/fixture.ts'

const gib = 2 ** 30

it('stays what was told before a restart until the disk is another', async () => {
  const rows = new Map<string, RosterRow[]>()
  const rosterTable = {
    get: async (key: string) => rows.get(key),
    put: async (key: string, value: RosterRow[]) => void rows.set(key, value),
  }
  /** As a node that was just started, or looks again. */
  const offered = (gibibytes: number): Promise<number> =>
    offeredRoom({ rosterTable, disk: { measure: async () => usageOf(gibibytes * gib) } })
  const told = await offered(46.5)
  // Between two steps: by itself it would be the one below.
  expect(await offered(45)).toBe(told)
  expect(await offered(34)).toBe(told - 1)
  expect(await offered(46.5)).toBe(told - 1)
})

it('is what was told before a restart without a walk through the store, and measured where nothing was', async () => {
  const told = { get: async () => [{ peer: 'self', room: 7, isOut: false }], put: async () => undefined }
  const disk = { measure: () => Promise.reject(new Error('nobody waits for it')) }
  expect(await firstRoom({ rosterTable: told, disk })).toBe(7)
  const nothing = { get: async () => undefined, put: async () => undefined }
  await expect(firstRoom({ rosterTable: nothing, disk })).rejects.toThrow('nobody waits')
})

it('is the same at every start while a disk is filled and emptied by a seventh, wherever it lies between two steps', async () => {
  const factor = fc.double({ min: 0.86, max: 1.16, noNaN: true })
  await fc.assert(
    fc.asyncProperty(
      fc.double({ min: 2, max: 24, noNaN: true }),
      fc.array(factor, { maxLength: 12 }),
      async (step, factors) => {
        const rows = new Map<string, RosterRow[]>()
        const rosterTable = {
          get: async (key: string) => rows.get(key),
          put: async (key: string, value: RosterRow[]) => void rows.set(key, value),
        }
        const started = (bytes: number) =>
          offeredRoom({ rosterTable, disk: { measure: async () => usageOf(bytes) } })
        const bytes = 2 ** (20 + step)
        const told = await started(bytes)
        for (const one of factors) expect(await started(bytes * one)).toBe(told)
      },
    ),
  )
})

it('is told from the first word after a restart, before the disk was measured', async () => {
  await using stack = new AsyncDisposableStack()
  const first = await openHonestNode(stack)
  const data = join(await temporaryFolder(stack), 'data')
  {
    await using before = new AsyncDisposableStack()
    const { node } = await openHonestNode(before, { data })
    const disk = { measure: async () => usageOf(46.5 * gib) }
    await offeredRoom({ rosterTable: node.rosterTable, disk })
  }
  const { peer, node } = await openHonestNode(stack, { data, join: first })
  const [told] = (await node.rosterTable.get('self')) ?? []
  const offers = () => first.member.swarm.members.offers()
  await until('its word', () => offers().length > 0)
  expect(told?.room).toBeGreaterThan(0)
  expect(offers()).toEqual([{ peer, room: told?.room }])
})

function usageOf(freeBytes: number) {
  return {
    blobs: 0,
    blobBytes: 0,
    measuredMs: 0,
    totalBytes: 100 * gib,
    freeBytes,
    minFreeBytes: 0,
    isStuck: false,
    partials: 0,
    partialBytes: 0,
    quarantined: 0,
  }
}
