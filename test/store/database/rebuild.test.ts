/** What becomes of a database of which the disk took CURRENT or MANIFEST. */

import { existsSync } from 'node:fs'
import { copyFile, mkdir, open, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/base.ts'
import { type Database, openDatabase } from '../../../src/store/store.ts'
import { type Folder, temporaryFolder } from '../scenery.ts'

let folder: Folder
let said: object[]

beforeEach(async () => {
  folder = await temporaryFolder()
  said = []
})

afterEach(async () => {
  await folder[Symbol.asyncDispose]()
})

const place = (name: string): string => join(folder.path, 'db', name)
const start = (): Promise<Database> =>
  openDatabase(folder.path, {
    logger: { ...silentLogger, error: (fields: object) => void said.push(fields) },
  })

async function filesLike(pattern: RegExp): Promise<string[]> {
  return (await readdir(join(folder.path, 'db'))).filter((name) => pattern.test(name)).sort()
}

async function compact(database: Database): Promise<void> {
  const engine = database as unknown as { compactRange(from: string, to: string): Promise<void> }
  await engine.compactRange('a', 'z')
}

/** Rows in a deep table, newer ones and deletions in one above, and the newest in the log. */
async function fill(): Promise<void> {
  const database = await start()
  await database.batch(rows.map((n) => ({ type: 'put', key: `k${n}`, value: `old ${n}` })))
  await compact(database)
  await database.put('k1', 'new')
  await database.del('k2')
  await database.close()
  // What was in the log becomes a table when it is opened.
  const again = await start()
  await again.put('k3', 'newest')
  await again.close()
}

const rows = Array.from({ length: 500 }, (_, n) => n)

async function expectAll(): Promise<void> {
  const database = await start()
  const expected = rows.map(
    (n) => ({ 1: 'new', 2: undefined, 3: 'newest' })[n] ?? (n === 2 ? undefined : `old ${n}`),
  )
  expect(await database.getMany(rows.map((n) => `k${n}`))).toEqual(expected)
  await database.put('k4', 'after')
  await database.close()
  const again = await start()
  expect(await again.get('k4')).toBe('after')
  expect(await again.get('k1')).toBe('new')
  await again.close()
}

async function currentManifest(): Promise<string> {
  return (await readFile(place('CURRENT'), 'utf8')).trim()
}

async function flip(name: string, at: number): Promise<void> {
  await using file = await open(place(name), 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, at)
  await file.write(Buffer.from([byte.readUInt8() ^ 0x10]), 0, 1, at)
}

describe('a database that lacks what says which of its files count', () => {
  it.each<[string, () => Promise<void>]>([
    ['has lost its CURRENT', () => rm(place('CURRENT'))],
    ['has a CURRENT of zeros', () => writeFile(place('CURRENT'), Buffer.alloc(16))],
    ['has a CURRENT that names no file', () => writeFile(place('CURRENT'), 'MANIFEST-000099\n')],
    ['has an empty CURRENT', () => truncate(place('CURRENT'))],
  ])('finds every row again where it %s', async (_, harm) => {
    await fill()
    await harm()
    await expectAll()
    expect(said).toMatchObject([{ how: 'named' }])
    expect(existsSync(join(folder.path, 'db.cut'))).toBe(false)
  })

  it.each<[string, (manifest: string) => Promise<void>]>([
    ['has a changed MANIFEST', (manifest) => flip(manifest, 40)],
    ['has an empty MANIFEST', (manifest) => truncate(place(manifest))],
    ['has lost its MANIFEST', (manifest) => rm(place(manifest))],
  ])('is made anew from its tables and logs where it %s, with the newest of each row', async (_, harm) => {
    await fill()
    await harm(await currentManifest())
    await expectAll()
    expect(said).toMatchObject([{ how: 'rebuilt' }])
    // As it was it lies aside, and nothing is collected before links were made anew.
    expect((await readdir(join(folder.path, 'quarantine', 'db.0'))).length).toBeGreaterThan(3)
    expect(existsSync(join(folder.path, 'db.cut'))).toBe(true)
    expect(existsSync(join(folder.path, 'db.rebuild'))).toBe(false)
  })

  it('is made anew by the age of its rows, whatever numbers its tables have', async () => {
    await fill()
    const [oldest = ''] = await filesLike(/\.ldb$/)
    await rename(place(oldest), place('000900.ldb'))
    await flip(await currentManifest(), 40)
    await expectAll()
  })

  it('is made anew without what was damaged in its tables, too', async () => {
    await fill()
    const [table = ''] = await filesLike(/\.ldb$/)
    await flip(table, 20)
    await flip(await currentManifest(), 40)
    const database = await start()
    const found = await database.getMany(rows.map((n) => `k${n}`))
    for (const [n, value] of found.entries()) {
      if (n > 3 && value !== undefined) expect(value).toBe(`old ${n}`)
    }
    expect(found.slice(1, 4)).toEqual(['new', undefined, 'newest'])
    expect(found.filter((value) => value === undefined).length).toBeGreaterThan(2)
    await database.check()
    await database.close()
  })

  it('goes on rebuilding where that was broken off', async () => {
    await fill()
    await flip(await currentManifest(), 40)
    await writeFile(join(folder.path, 'db.rebuild'), '')
    await expectAll()
    expect(said).toMatchObject([{ how: 'rebuilt' }])
  })

  it('is refused while another has it open, and where there is nothing that it could be made from', async () => {
    await fill()
    const database = await start()
    await rm(place('CURRENT'))
    await expect(start()).rejects.toMatchObject({ code: 'STORE_LOCKED' })
    await database.close()
    await rm(join(folder.path, 'db'), { recursive: true })
    await mkdir(join(folder.path, 'db'))
    await copyFile(import.meta.filename, place('LOG'))
    await expect(start()).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
  })
})
