/** Which repository may read what, as pulls ask it again and again. */
import { Level } from 'level'
import { expect, it, type MockInstance, vi } from 'vitest'
import { Keyed } from '../../../src/base/base.ts'
import { linkKey, openDatabase, openTables } from '../../../src/store/database/database.ts'
import { Claims } from '../../../src/store/links/claims.ts'
import { Leases } from '../../../src/store/links/leases.ts'
import {
  LinkTable,
  openRecentLinks,
  removeLink,
  type TableContext,
} from '../../../src/store/links/link-table.ts'
import { digestOf, graceMs, handClock, other, seededBytes, team, temporaryFolder } from '../scenery.ts'

const blob = digestOf(seededBytes(100))

async function opened(stack: AsyncDisposableStack) {
  const { path } = stack.use(await temporaryFolder())
  const database = stack.adopt(await openDatabase(path), (open) => open.close())
  const tables = openTables(database)
  const clock = handClock()
  const leases = new Leases(clock, graceMs)
  const recent = openRecentLinks()
  const context: TableContext = { database, tables, turns: new Keyed(), claims: new Claims(), leases, recent }
  return { context, clock, reads: vi.spyOn(tables.links, 'getSync'), links: new LinkTable(context) }
}

it('reads a link once for many who ask, and not of another repository', async () => {
  await using stack = new AsyncDisposableStack()
  const { links, reads } = await opened(stack)
  await links.add(team, [blob])
  for (let ask = 0; ask < 10; ask++) expect(await links.has(team, blob)).toBe(true)
  expect(reads).toHaveBeenCalledTimes(1)
  expect(await links.has(other, blob)).toBe(false)
})

it('knows that a link is gone, also when it was read while it was being removed', async () => {
  await using stack = new AsyncDisposableStack()
  const { context, links } = await opened(stack)
  await links.add(team, [blob])
  const removed = removeLink(context, team, blob, { sync: false })
  await links.has(team, blob)
  expect(await removed).toBe(true)
  expect(await links.has(team, blob)).toBe(false)
})

it('looks anew for a link whose removal failed, since it may be gone all the same', async () => {
  await using stack = new AsyncDisposableStack()
  const { context, links } = await opened(stack)
  await links.add(team, [blob])
  expect(await links.has(team, blob)).toBe(true)
  const { database } = context
  const begin = database.batch.bind(database)
  const batch = vi.spyOn(database, 'batch') as unknown as MockInstance<typeof begin>
  batch.mockImplementationOnce(() => {
    const begun = begin()
    const write = begun.write.bind(begun)
    begun.write = async () => {
      await write()
      throw new Error('the disk does not say that it is there')
    }
    return begun
  })
  await expect(removeLink(context, team, blob, { sync: true })).rejects.toThrow('does not say')
  expect(await links.has(team, blob)).toBe(false)
})

it('renews the lease of a link that is read often, as of one that is read again', async () => {
  await using stack = new AsyncDisposableStack()
  const { context, clock, links } = await opened(stack)
  await links.add(team, [blob])
  await links.has(team, blob)
  clock.advance(graceMs / 2)
  expect(await links.has(team, blob)).toBe(true)
  const leases: number[] = []
  for await (const lease of context.tables.links.values()) leases.push(Number(lease))
  expect(leases).toEqual([context.leases.now()])
})

it('does not bring back a link that is being removed by renewing its lease', async () => {
  await using stack = new AsyncDisposableStack()
  const { context, clock, links } = await opened(stack)
  await links.add(team, [blob])
  clock.advance(graceMs / 2)
  const engine = Level.prototype as unknown as { _batch(operations: object[]): Promise<void> }
  const write = engine._batch
  const read = Promise.withResolvers<boolean>()
  const writing = vi.spyOn(engine, '_batch')
  stack.defer(() => writing.mockRestore())
  writing.mockImplementationOnce(async function (this: typeof engine, ...given) {
    await Promise.resolve()
    // It is there until this is written.
    read.resolve(links.has(team, blob))
    await write.apply(this, given)
  })
  expect(await links.remove(team, blob)).toBe(true)
  await read.promise
  expect(context.tables.links.getSync(linkKey(blob, team))).toBeUndefined()
  expect(await links.has(team, blob)).toBe(false)
})

it('writes a lease anew once for many who ask at once', async () => {
  await using stack = new AsyncDisposableStack()
  const { context, clock, links } = await opened(stack)
  await links.add(team, [blob])
  clock.advance(graceMs / 2)
  const writes = vi.spyOn(context.tables.links, 'put')
  const found = await Promise.all(Array.from({ length: 50 }, () => links.has(team, blob)))
  expect(new Set(found)).toEqual(new Set([true]))
  expect(writes).toHaveBeenCalledTimes(1)
})
