/** What becomes of a database in whose files the disk changed bytes. */
import { mkdir, open, readdir, readFile, rmdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { Level } from 'level'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { noMetrics, silentLogger } from '../../src/base/base.ts'
import { liveTables } from '../../src/store/database/level-manifest.ts'
import { uncompress } from '../../src/store/database/snappy.ts'
import { checkTable } from '../../src/store/database/table-file.ts'
import { type Database, openDatabase } from '../../src/store/store.ts'
import { seededNumbers } from './random.ts'
import { type Folder, seededBytes, temporaryFolder } from './scenery.ts'

const rows = 2000
const keyOf = (n: number): string => `k${String(n).padStart(5, '0')}`
/** Every other can be compressed. */
const textOf = (n: number): string =>
  n % 2 === 0 ? `${'x'.repeat(100)}${n}` : Buffer.from(seededBytes(80, n)).toString('base64')

let folder: Folder
let table: string

/** One table with all rows. */
beforeEach(async () => {
  folder = await temporaryFolder()
  const database = await openDatabase(folder.path)
  await database.batch(
    Array.from({ length: rows }, (_, n) => ({ type: 'put', key: keyOf(n), value: textOf(n) })),
  )
  await compact(database)
  await database.close()
  const [name, ...others] = (await readdir(join(folder.path, 'db'))).filter((file) => file.endsWith('.ldb'))
  expect(others).toEqual([])
  table = join(folder.path, 'db', name ?? '')
})

afterEach(async () => {
  vi.restoreAllMocks()
  await folder[Symbol.asyncDispose]()
})

async function compact(database: Database): Promise<void> {
  await (database as unknown as { compactRange(from: string, to: string): Promise<void> }).compactRange(
    'a',
    'z',
  )
}

async function flip(...offsets: number[]): Promise<void> {
  const { size } = await stat(table)
  await using file = await open(table, 'r+')
  for (const offset of offsets) {
    const at = offset < 0 ? size + offset : offset
    const byte = Buffer.alloc(1)
    await file.read(byte, 0, 1, at)
    await file.write(Buffer.from([byte.readUInt8() ^ 0x10]), 0, 1, at)
  }
}

/** Reads all rows until each read has an answer. */
async function readAll(): Promise<{
  database: Database
  found: (string | undefined)[]
  cut: boolean
  said: object[]
}> {
  const said: object[] = []
  const mended = Promise.withResolvers<void>()
  const database = await openDatabase(folder.path, {
    logger: {
      ...silentLogger,
      error: (fields: object) => void said.push(fields),
      info: (_: object, message: string) => {
        if (message === 'the database was opened again and takes writes') mended.resolve()
      },
    },
    metrics: noMetrics,
    clock: { now: () => 0, sleep: async () => undefined },
    reopenBytes: 0,
  })
  const read = (): (string | undefined)[] =>
    Array.from({ length: rows }, (_, n) => database.getSync(keyOf(n)))
  try {
    return { database, found: read(), cut: false, said }
  } catch (error) {
    expect(error).toMatchObject({ code: 'DATABASE_FAULT' })
    await mended.promise
    return { database, found: read(), cut: true, said }
  }
}

describe('a database of which the disk changed a block', () => {
  it.each([
    ['in the middle', [20_000]],
    ['that finds the others', [-300]],
    ['with which all begins', [-3]],
  ])('answers every read after a moment, with nothing that is wrong: %s', async (_, offsets) => {
    await flip(...offsets)
    const { database, found, said } = await readAll()
    for (const [n, value] of found.entries()) if (value !== undefined) expect(value).toBe(textOf(n))
    await database.put(keyOf(0), 'new')
    await compact(database)
    expect(await database.get(keyOf(0))).toBe('new')
    expect(database.problem()).toBeUndefined()
    expect(database.damage.tables).toHaveLength(1)
    expect(said.length).toBeGreaterThan(0)
    expect(await readdir(join(folder.path, 'quarantine'))).toHaveLength(1)
    await database.close()
  })

  it('loses no row of another block', async () => {
    await flip(20_000)
    const { database, found } = await readAll()
    const lost = found.filter((value) => value === undefined).length
    expect(lost).toBeGreaterThan(0)
    expect(lost).toBeLessThan(100)
    await database.close()
  })

  it('loses no row where it is the block that finds the others', async () => {
    await flip(-300)
    const { database, found, said } = await readAll()
    for (const [n, value] of found.entries()) expect(value).toBe(textOf(n))
    expect(said).toMatchObject([{ tables: [{ blocks: 0, bytes: 0 }] }])
    await database.check()
    await database.close()
  })

  it('is cut a second time', async () => {
    for (const at of [20_000, 40_000]) {
      await flip(at)
      const { database } = await readAll()
      await database.check()
      await database.close()
    }
    const { found } = await readAll()
    const lost = found.filter((value) => value === undefined).length
    expect(lost).toBeGreaterThan(20)
    expect(lost).toBeLessThan(200)
  })

  it('goes on with a compaction that met it', async () => {
    await flip(20_000)
    const database = await openDatabase(folder.path, { reopenBytes: 0 })
    const cut = Promise.withResolvers<void>()
    database.damage.listeners.add(cut.resolve)
    // Where nothing overlaps the table it is moved, not read.
    const write = async (): Promise<void> => {
      for (let n = 0; n < rows; n += 50) await database.put(keyOf(n), 'new')
      await compact(database)
      await database.put('z', '1')
    }
    await expect(write()).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await cut.promise
    await write()
    expect(await database.get(keyOf(50))).toBe('new')
    expect(await database.get(keyOf(rows - 1))).toBe(textOf(rows - 1))
    await database.close()
  })

  it('is found by a check where reads give something else', async () => {
    const at = (await readFile(table)).indexOf(textOf(1001))
    expect(at).toBeGreaterThan(0)
    await flip(at + 10)
    const { database, found } = await readAll()
    expect(found[1001]).not.toBe(textOf(1001))
    const cut = Promise.withResolvers<void>()
    database.damage.listeners.add(cut.resolve)
    await database.check()
    await cut.promise
    expect(await database.get(keyOf(1001))).toBeUndefined()
    expect(await database.get(keyOf(1))).toBe(textOf(1))
    await database.close()
  })

  it('tells an iterator that met it to come again', async () => {
    await flip(20_000)
    const database = await openDatabase(folder.path, { reopenBytes: 0 })
    const cut = Promise.withResolvers<void>()
    database.damage.listeners.add(cut.resolve)
    await expect(database.keys().all()).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await cut.promise
    expect((await database.keys().all()).length).toBeGreaterThan(rows - 100)
    await database.close()
  })
})

/** LevelDB's own, where a test lets it fail. */
const engine = Level.prototype as unknown as { _open(options: object): Promise<void> }

/** Opened with its block cut out as soon as `cut` resolves, and every pause at once over. */
async function openDamaged(onPause: () => Promise<void> = async () => undefined): Promise<{
  database: Database
  cut: Promise<void>
}> {
  const database = await openDatabase(folder.path, {
    reopenBytes: 0,
    clock: { now: () => 0, sleep: onPause },
  })
  const cut = Promise.withResolvers<void>()
  database.damage.listeners.add(cut.resolve)
  return { database, cut: cut.promise }
}

/** What reads of all rows throw. */
function readFaults(database: Database): unknown[] {
  return Array.from({ length: rows }, (_, n) => {
    try {
      return void database.getSync(keyOf(n))
    } catch (error) {
      return error
    }
  }).filter((error) => error !== undefined)
}

describe('damage that is met at a bad moment', () => {
  it('is cut out once where a write and a read meet it together', async () => {
    await flip(20_000)
    const { database, cut } = await openDamaged()
    for (let n = 0; n < rows; n += 50) await database.put(keyOf(n), 'new')
    await compact(database).catch(() => undefined)
    const opening = vi.spyOn(engine, '_open')
    // Refused by LevelDB, which has met it, and under way while a read meets it, too.
    const written = database.put('z', '1')
    expect(readFaults(database)).not.toEqual([])
    await expect(written).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await cut
    await database.put('z', '2')
    await database.close()
    expect(opening).toHaveBeenCalledTimes(1)
  })

  it('is told though the first opening after the cut fails', async () => {
    await flip(20_000)
    const { database, cut } = await openDamaged()
    vi.spyOn(engine, '_open').mockRejectedValueOnce(new Error('IO error: Too many open files'))
    expect(readFaults(database)).not.toEqual([])
    await cut
    expect(database.damage.tables).toHaveLength(1)
    await database.close()
  })

  it('is remembered by whoever opens the database after a kill, until its rows are made anew', async () => {
    await flip(20_000)
    const paused = Promise.withResolvers<void>()
    const { database } = await openDamaged(async () => {
      paused.resolve()
      await new Promise((resolve) => setImmediate(resolve))
    })
    vi.spyOn(engine, '_open').mockRejectedValue(new Error('IO error: Too many open files'))
    expect(readFaults(database)).not.toEqual([])
    await paused.promise
    await database.close()
    vi.restoreAllMocks()
    for (let start = 0; start < 2; start++) {
      await using again = await openDatabase(folder.path)
      expect(again.damage.tables).toEqual([])
      expect(again.damage.isOpen).toBe(true)
      if (start === 1) again.damage.close(again.damage.cuts)
    }
    await using mended = await openDatabase(folder.path)
    expect(mended.damage.isOpen).toBe(false)
  })

  it('leaves one file aside, however often there was no room for the cut', async () => {
    await flip(20_000)
    // Nothing can be written in its place.
    await mkdir(`${table}.new`)
    let pauses = 0
    const { database, cut } = await openDamaged(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      if (++pauses === 5) await rmdir(`${table}.new`)
    })
    expect(readFaults(database)).not.toEqual([])
    await cut
    expect(await readdir(join(folder.path, 'quarantine'))).toHaveLength(1)
    await database.close()
  })

  it('is mended for good where the disk lost the end of a table', async () => {
    await truncate(table, (await stat(table)).size - 1000)
    const { database } = await openDamaged()
    expect(readFaults(database)).toEqual([])
    expect(database.problem()).toBeUndefined()
    expect(database.damage.tables).toHaveLength(1)
    await database.close()
  })

  it('has the database closed once where its tables are as they were written', async () => {
    const openedAgain = Promise.withResolvers<void>()
    const info = (_: object, message: string): void => {
      if (message === 'the database was opened again and takes writes') openedAgain.resolve()
    }
    const database = await openDatabase(folder.path, { reopenBytes: 0, logger: { ...silentLogger, info } })
    const reading = Level.prototype as unknown as { _getSync(key: unknown, options: object): unknown }
    vi.spyOn(reading, '_getSync').mockImplementation(() => {
      throw Object.assign(new Error('Corruption: bad entry in block'), { code: 'LEVEL_CORRUPTION' })
    })
    expect(() => database.getSync(keyOf(1))).toThrow('bad entry')
    expect(database.problem()).toContain('bad entry')
    await openedAgain.promise
    expect(() => database.getSync(keyOf(1))).toThrow('bad entry')
    expect(database.problem()).toBeUndefined()
    await database.close()
  })

  it('is none where a table is not finished yet', async () => {
    const { database } = await openDamaged()
    await writeFile(join(folder.path, 'db', '009999.ldb'), 'half of a tab')
    await database.check()
    expect(database.problem()).toBeUndefined()
    await database.close()
  })
})

describe('the check of a table', () => {
  it('finds whatever bit was flipped, and nothing where none was', async () => {
    const right = await readFile(table)
    expect(checkTable(right, right.length)).toEqual({ damaged: 0, bytes: 0, mended: undefined })
    const random = seededNumbers(16)
    for (let n = 0; n < 40; n++) {
      const file = Buffer.from(right)
      // What is between the handles in the footer and its magic number is nothing.
      const at = Math.floor(random() * (file.length - 48))
      file.writeUInt8(file.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at)
      const { mended } = checkTable(file, file.length)
      expect(mended, `${at}`).toBeDefined()
      if (mended !== undefined) expect(mended.length).toBeGreaterThan(file.length)
    }
  })

  it('ends on anything', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(400), (bytes, size) => {
        checkTable(Buffer.from(bytes), size)
        checkTable(Buffer.from(bytes), bytes.length)
        liveTables(Buffer.from(bytes))
        uncompress(bytes)
      }),
    )
  })
})
