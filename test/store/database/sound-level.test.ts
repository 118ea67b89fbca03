import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { Level } from 'level'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { noMetrics, silentLogger, steadyClock } from '../../../src/base/base.ts'
import { type Database, openDatabase } from '../../../src/store/store.ts'
import { type Folder, temporaryFolder } from '../scenery.ts'
import { smallDisk } from '../small-disk.ts'

const mib = 1024 * 1024
const synced = { sync: true } as object

/** LevelDB's own methods, where a test lets them fail. */
interface Engine {
  readonly location: string
  _batch(operations: object[], options: object): Promise<void>
  _open(options: object): Promise<void>
  _close(): Promise<void>
}
const engine = Level.prototype as unknown as Engine

/** A logger that resolves `said(message)` when that is logged. */
function listener() {
  const waiting = new Map<string, () => void>()
  const hear = (_: object, message: string): void => waiting.get(message)?.()
  return {
    logger: { ...silentLogger, info: hear, warn: hear, error: hear },
    said: (message: string) => new Promise<void>((resolve) => waiting.set(message, resolve)),
  }
}

const openedAgain = 'the database was opened again and takes writes'
const notYet = 'the database cannot be opened again yet'

/** Sleeps until it is woken. */
function sleeper() {
  const asleep: (() => void)[] = []
  return {
    clock: {
      now: steadyClock.now,
      sleep: (_: number, { signal }: { signal?: AbortSignal } = {}) =>
        new Promise<void>((resolve, reject) => {
          asleep.push(resolve)
          signal?.addEventListener('abort', () => reject(signal.reason))
        }),
    },
    wake: () => asleep.splice(0).forEach((wake) => void wake()),
  }
}

afterEach(() => {
  vi.restoreAllMocks()
})

async function opened(folder: Folder, reopenBytes = 0) {
  const heard = listener()
  const slept = sleeper()
  const options = { logger: heard.logger, metrics: noMetrics, clock: slept.clock, reopenBytes }
  const database = await openDatabase(folder.path, options)
  return {
    database,
    said: heard.said,
    wake: slept.wake,
    [Symbol.asyncDispose]: () => database.close(),
  }
}

/** The next write fails; with `comesThrough`, the log holds it nevertheless when it is read again. */
function failNextWrite({ comesThrough = false } = {}): void {
  vi.spyOn(engine, '_batch').mockImplementationOnce(async (operations) => {
    if (comesThrough) afterNextClose((location) => writeInto(location, operations))
    throw new Error('IO error: 000003.log: Input/output error')
  })
}

function afterNextClose(work: (location: string) => Promise<void>): void {
  const close = engine._close
  vi.spyOn(engine, '_close').mockImplementationOnce(async function (this: Engine) {
    await close.call(this)
    await work(this.location)
  })
}

async function writeInto(location: string, operations: object[]): Promise<void> {
  const other = new Level(location)
  await other.open()
  await (other as unknown as Engine)._batch(operations, {})
  await other.close()
}

describe('after a write that failed', () => {
  it('acknowledges nothing until it was opened again', async () => {
    await using folder = await temporaryFolder()
    await using node = await opened(folder, Number.MAX_SAFE_INTEGER)
    const { database } = node
    await database.put('before', '1')
    failNextWrite()
    const waits = node.said(notYet)
    await expect(database.put('a', '1')).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await waits
    await expect(database.put('b', '1', synced)).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await expect(database.sync()).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    expect(database.problem()).toContain('Input/output error')
    expect(database.problem()).toContain(`may take ${Number.MAX_SAFE_INTEGER}`)
    expect(database.getSync('before')).toBe('1')
  })

  it('takes writes again by itself, and keeps them', async () => {
    await using folder = await temporaryFolder()
    {
      await using node = await opened(folder)
      failNextWrite()
      const again = node.said(openedAgain)
      await expect(node.database.put('a', '1')).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
      await again
      expect(node.database.problem()).toBeUndefined()
      await node.database.put('b', '2')
    }
    await using node = await opened(folder)
    expect(await node.database.getMany(['a', 'b'])).toEqual([undefined, '2'])
  })

  it('undoes what came through although it failed', async () => {
    await using folder = await temporaryFolder()
    await using node = await opened(folder)
    const { database } = node
    const table = database.sublevel<string, string>('table', {})
    await table.batch([
      { type: 'put', key: 'changed', value: 'old' },
      { type: 'put', key: 'deleted', value: 'old' },
    ])
    failNextWrite({ comesThrough: true })
    const again = node.said(openedAgain)
    const failing = table.batch([
      { type: 'put', key: 'changed', value: 'new' },
      { type: 'put', key: 'made', value: 'new' },
      { type: 'del', key: 'deleted' },
    ])
    await expect(failing).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await again
    expect(await table.getMany(['changed', 'made', 'deleted'])).toEqual(['old', undefined, 'old'])
  })

  it('fails those that wait behind it, and stores none of them', async () => {
    await using folder = await temporaryFolder()
    await using node = await opened(folder)
    const { database } = node
    failNextWrite()
    const again = node.said(openedAgain)
    const writes = ['a', 'b', 'c'].map((key) => database.put(key, '1'))
    for (const result of await Promise.allSettled(writes)) expect(result.status).toBe('rejected')
    await again
    expect(await database.keys().all()).toEqual([])
  })

  it('ends iterators with a word why, and lets readers wait for it', async () => {
    await using folder = await temporaryFolder()
    await using node = await opened(folder)
    const { database } = node
    await database.batch([
      { type: 'put', key: 'a', value: '1' },
      { type: 'put', key: 'b', value: '2' },
    ])
    const table = database.sublevel<string, string>('table', {})
    await table.put('c', '3')
    const [keys, entries] = [database.keys({ gte: 'a' }), table.iterator()]
    expect(await keys.next()).toBe('a')
    const closed = Promise.withResolvers<void>()
    const close = engine._close
    vi.spyOn(engine, '_close').mockImplementationOnce(async function (this: Engine) {
      closed.resolve()
      await close.call(this)
    })
    failNextWrite()
    await expect(database.put('a', '2')).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await closed.promise
    const found = database.get('b')
    expect(() => database.getSync('b')).toThrow(expect.objectContaining({ code: 'DATABASE_FAULT' }))
    expect(() => database.iterator()).toThrow(expect.objectContaining({ code: 'DATABASE_FAULT' }))
    expect(await found).toBe('2')
    await expect(keys.next()).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await expect(entries.all()).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    expect(await table.keys().all()).toEqual(['c'])
  })

  it('tries again when it cannot be opened', async () => {
    await using folder = await temporaryFolder()
    await using node = await opened(folder)
    const { database } = node
    await database.put('a', '1')
    const waits = node.said(notYet)
    vi.spyOn(engine, '_open').mockRejectedValueOnce(new Error('IO error: Input/output error'))
    failNextWrite()
    await expect(database.put('b', '1')).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await waits
    await expect(database.get('a')).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    const again = node.said(openedAgain)
    node.wake()
    await again
    expect(await database.get('a')).toBe('1')
    await database.put('b', '2')
  })

  it('is opened again after iterators were refused in between', async () => {
    await using folder = await temporaryFolder()
    await using node = await opened(folder)
    const { database, said, wake } = node
    const table = database.sublevel<string, string>('table', {})
    await table.put('a', '1')
    const waits = said(notYet)
    vi.spyOn(engine, '_open').mockRejectedValueOnce(new Error('IO error: Input/output error'))
    failNextWrite()
    await expect(database.put('b', '1')).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await waits
    for (const read of [
      () => database.keys(),
      () => database.values(),
      () => table.keys(),
      () => table.values(),
    ])
      expect(read).toThrow(expect.objectContaining({ code: 'DATABASE_FAULT' }))
    const again = said(openedAgain)
    wake()
    await again

    const thrice = said(openedAgain)
    failNextWrite()
    await expect(database.put('b', '1')).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await thrice
    expect(await table.keys().all()).toEqual(['a'])
  })

  it('is closed once more where that failed', async () => {
    await using folder = await temporaryFolder()
    await using node = await opened(folder)
    const { database, said, wake } = node
    const waits = said(notYet)
    vi.spyOn(engine, '_close').mockRejectedValueOnce(new Error('it is in use'))
    failNextWrite()
    await expect(database.put('b', '1')).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await waits
    const again = said(openedAgain)
    wake()
    await again
    await database.put('b', '2')
  })

  it('closes while it cannot be opened', async () => {
    await using folder = await temporaryFolder()
    const node = await opened(folder)
    const waits = node.said(notYet)
    vi.spyOn(engine, '_open').mockRejectedValue(new Error('IO error: Input/output error'))
    failNextWrite()
    await expect(node.database.put('b', '1')).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await waits
    await node.database.close()
    vi.restoreAllMocks()
    await using next = await opened(folder)
    await next.database.put('b', '1')
  })

  it('takes nothing any more when what was acknowledged is not there', async () => {
    await using folder = await temporaryFolder()
    await using node = await opened(folder)
    const { database } = node
    await database.put('a', '1', synced)
    const lost = node.said(
      'the database lacks what it had acknowledged; stop the node, and restore its data or let it join anew',
    )
    afterNextClose(async (location) => {
      for (const name of readdirSync(location)) if (name.endsWith('.log')) rmSync(join(location, name))
    })
    failNextWrite()
    await expect(database.put('b', '1')).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    await lost
    await expect(database.put('b', '1')).rejects.toMatchObject({ code: 'DATABASE_FAULT' })
    expect(database.problem()).toContain('lost what it had acknowledged')
  })
})

it('syncs what came before by a write of its own', async () => {
  await using folder = await temporaryFolder()
  await using node = await opened(folder)
  const writes = vi.spyOn(engine, '_batch')
  await node.database.sync()
  expect(writes.mock.calls.map(([operations, options]) => [operations.length, options])).toEqual([
    [1, { sync: true }],
  ])
})

it('syncs a group in which one asks for it', async () => {
  await using folder = await temporaryFolder()
  await using node = await opened(folder)
  const { database } = node
  const writes = vi.spyOn(engine, '_batch')
  await Promise.all([database.put('a', '1'), database.put('b', '1'), database.put('c', '1', synced)])
  expect(writes.mock.calls.map(([, options]) => options)).toEqual([{ sync: false }, { sync: true }])
})

it('clears a range in the order of the writes around it', async () => {
  await using folder = await temporaryFolder()
  await using node = await opened(folder)
  const table = node.database.sublevel<string, string>('table', {})
  await node.database.put('kept', '1')
  await table.batch(Array.from({ length: 2500 }, (_, n) => ({ type: 'put', key: `${n}`, value: '' })))
  await table.clear()
  expect(await table.keys().all()).toEqual([])
  expect(await node.database.get('kept')).toBe('1')
})

it('holds what was acknowledged and nothing else, whatever fails', { timeout: 60_000 }, async () => {
  const write = fc.record({
    keys: fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 3 }),
    value: fc.option(fc.constantFrom('1', '2', '3'), { nil: undefined }),
    fails: fc.constantFrom('no', 'no', 'no', 'before', 'after'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 8 }), async (writes) => {
      await using folder = await temporaryFolder()
      const model = new Map<string, string>()
      {
        await using node = await opened(folder)
        for (const { keys, value, fails } of writes) {
          const again = fails === 'no' ? Promise.resolve() : node.said(openedAgain)
          if (fails !== 'no') failNextWrite({ comesThrough: fails === 'after' })
          const acknowledged = await changeAll(node.database, keys, value).then(
            () => true,
            () => false,
          )
          expect(acknowledged).toBe(fails === 'no')
          await again
          vi.restoreAllMocks()
          if (!acknowledged) continue
          for (const key of keys) value === undefined ? model.delete(key) : model.set(key, value)
        }
      }
      await using node = await opened(folder)
      const found = await node.database.iterator().all()
      expect(found.filter(([key]) => key !== 'writes')).toEqual([...model].sort())
    }),
    { numRuns: 12, seed: 13 },
  )
})

async function changeAll(database: Database, keys: string[], value: string | undefined): Promise<void> {
  await database.batch(
    keys.map((key) => (value === undefined ? { type: 'del', key } : { type: 'put', key, value })),
  )
}

const disk = smallDisk(32)
afterAll(() => disk[Symbol.dispose]())

describe('on a disk that is full for a moment', {
  skip: !disk.isMounted,
  meta: { lacks: 'lacks the right to mount a tmpfs' },
}, () => {
  const folder: Folder = { path: disk.path, [Symbol.asyncDispose]: async () => undefined }
  const keysOf = (name: string): string[] => Array.from({ length: 60 }, (_, n) => `${name}${n}`)

  afterEach(() => disk.free())

  it('says so once, and not as a fault of the database', async () => {
    const lines: string[] = []
    const say = (level: string) => (_: object, message: string) => void lines.push(`${level} ${message}`)
    const logger = { ...silentLogger, warn: say('warn'), error: say('error') }
    await using database = await openDatabase(folder.path, { logger, reopenBytes: 8 * mib })
    await disk.fill()
    for (let n = 0; n < 3; n++)
      await expect(writeAll(database, keysOf('failing'))).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(lines.slice(0, 1)).toEqual([
      'warn a write to the database failed; it takes no more until it was opened again',
    ])
    expect(lines.filter((line) => line.startsWith('error'))).toEqual([])
  })

  it('keeps everything that is acknowledged afterwards', async () => {
    {
      await using node = await opened(folder, 8 * mib)
      const { database } = node
      await database.put('before', 'b'.repeat(5000), synced)
      await disk.fill()
      const waits = node.said(notYet)
      // Of a size that leaves the log in the middle of a block.
      await expect(writeAll(database, keysOf('failing'))).rejects.toMatchObject({ code: 'STORE_FULL' })
      await waits
      expect((await database.get('before'))?.length).toBe(5000)
      await disk.free()
      const again = node.said(openedAgain)
      node.wake()
      await again
      await writeAll(database, keysOf('kept'))
    }
    await using node = await opened(folder)
    const found = await node.database.getMany(keysOf('kept'))
    expect(found.filter((value) => value === undefined)).toEqual([])
  })

  it('writes on after a table could not be written', async () => {
    {
      await using node = await opened(folder, 12 * mib)
      const { database } = node
      await disk.fill(6 * mib)
      const waits = node.said(notYet)
      await expect(fillTables(database)).rejects.toMatchObject({ code: 'STORE_FULL' })
      await waits
      await disk.free()
      const again = node.said(openedAgain)
      node.wake()
      await again
      await writeAll(database, keysOf('later'))
    }
    await using node = await opened(folder)
    const found = await node.database.getMany(keysOf('later'))
    expect(found.filter((value) => value === undefined)).toEqual([])
  })

  it('is not opened, and says what it takes', async () => {
    await disk.fill()
    await expect(opened(folder)).rejects.toMatchObject({
      code: 'STORE_FULL',
      message: expect.stringContaining('make room'),
    })
    await disk.free()
    await using node = await opened(folder)
    expect(node.database.problem()).toBeUndefined()
  })

  async function writeAll(database: Database, keys: string[]): Promise<void> {
    for (const key of keys) await database.put(key, 'x'.repeat(1500), synced)
  }

  /** Incompressible, and more than a write buffer. */
  async function fillTables(database: Database): Promise<void> {
    for (let n = 0; n < 200; n++) {
      const value = Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString('hex')
      await database.put(`table${n}`, value)
    }
  }
})
