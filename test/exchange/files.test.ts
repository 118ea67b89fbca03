/** Transfers between stores on a disk: what is kept over a restart, and what a rotten file costs. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ExchangeOptions } from '../../src/exchange/contract.ts'
import { layoutOf } from '../../src/exchange/protocol/piece-size.ts'
import { hexOf } from '../../src/oci/oci.ts'
import { type FileStore, openDatabase, openStore } from '../../src/store/store.ts'
import { double } from './lab/double.ts'
import {
  digestOf,
  openWorld,
  pieceBytes,
  read,
  someBytes,
  type TestNode,
  until,
  type World,
  wanted,
} from './lab/fixture.ts'

describe('a store on a disk', () => {
  let world: World
  let stack: AsyncDisposableStack
  let directory: string
  beforeEach(async () => {
    stack = new AsyncDisposableStack()
    directory = await mkdtemp(join(tmpdir(), 'shoal-exchange-'))
    stack.defer(async () => await rm(directory, { recursive: true, force: true }))
    world = openWorld()
  })
  afterEach(async () => {
    await world[Symbol.asyncDispose]()
    await stack.disposeAsync()
  })

  async function open(name: string): Promise<FileStore> {
    const folder = join(directory, name)
    const database = await openDatabase(folder)
    const store = await openStore({ directory: folder, database })
    stack.defer(async () => {
      await store[Symbol.asyncDispose]()
      await database.close()
    })
    return store
  }

  function over(store: FileStore): Partial<ExchangeOptions> {
    return {
      blobs: store.blobs,
      partials: store.partials,
      hashPieces: async (digest, { from, to }) => {
        const { size = 0 } = (await store.blobs.stat(digest)) ?? {}
        const { pieceBytes } = layoutOf(size)
        const end = Math.min(to * pieceBytes, size)
        return await store.hashPieces(digest, { pieceBytes, start: from * pieceBytes, end })
      },
    }
  }

  async function put(store: FileStore, bytes: Uint8Array): Promise<ReturnType<typeof digestOf>> {
    const digest = digestOf(bytes)
    await store.blobs.write(digest, one(bytes))
    return digest
  }

  it('gives to and takes from others', async () => {
    const [first, second, third] = [await open('first'), await open('second'), await open('third')]
    await world.node({ override: over(first) })
    const downloaders = [
      await world.node({ override: over(second) }),
      await world.node({ override: over(third) }),
    ]
    const bytes = someBytes(33 * pieceBytes + 12_345)
    const digest = await put(first, bytes)
    const blobs = await Promise.all(downloaders.map(({ exchange }) => exchange.open(wanted(digest))))
    for (const blob of blobs) {
      if (blob === undefined) throw new Error('nobody has it')
      expect(Buffer.compare(await read(blob), bytes)).toBe(0)
      await blob[Symbol.asyncDispose]()
    }
    for (const store of [second, third])
      expect(await store.blobs.stat(digest)).toEqual({ size: bytes.length })
  })

  it('goes on after a restart with the pieces that it had', async () => {
    const [first, second] = [await open('first'), await open('second')]
    const seeder = await world.node({
      override: over(first),
      limits: { uploadBytesPerSecond: 8 * 1024 * 1024 },
    })
    const bytes = someBytes(30 * pieceBytes)
    const digest = await put(first, bytes)
    const before = await world.node({ override: over(second) })
    const fetching = before.exchange.fetch(wanted(digest)).catch((error: unknown) => error)
    await until('a part of it', () => (before.exchange.status().transfers[0]?.held ?? 0) > 10)
    await before.exchange[Symbol.asyncDispose]()
    expect(await fetching).toBeInstanceOf(Error)
    const sent = world.mesh.sentBy(seeder.peer)
    const after = await world.node({ override: over(second) })
    expect(await after.exchange.fetch(wanted(digest))).toBe(true)
    expect(world.mesh.sentBy(seeder.peer) - sent).toBeLessThan(21 * pieceBytes)
  })

  it('notices that its file has rotted when a downloader says so, and gives nothing of it any more', async () => {
    const [first, second] = [await open('first'), await open('second')]
    const rotten = await world.node({ override: over(first) })
    const downloader = await world.node({ override: over(second) })
    const bytes = someBytes(9 * pieceBytes)
    const digest = await put(first, bytes)
    // Its list is from before the rot.
    const early = await world.node()
    expect(await early.exchange.fetch(wanted(digest))).toBe(true)
    await early.exchange[Symbol.asyncDispose]()
    world.mesh.kill(early.peer)
    const path = await pathOf(directory, hexOf(digest))
    const file = await readFile(path)
    file[5 * pieceBytes] = (file[5 * pieceBytes] ?? 0) ^ 1
    await writeFile(path, file)
    const healthy = await world.node()
    const fetching = downloader.exchange.fetch(wanted(digest))
    await until('the rot to be noticed', () => rotten.rotten.length > 0)
    await healthy.holds(bytes)
    expect(await fetching).toBe(true)
    expect(rotten.rotten).toEqual([digest])
    expect([...rotten.withdrawn]).toEqual([digest])
    expect(await downloader.exchange.find(wanted(digest), { withinMs: 1000 })).toEqual({ size: bytes.length })
  })

  it('never names what a liar sent', async () => {
    const store = await open('first')
    const downloader: TestNode = await world.node({ override: over(store) })
    const bytes = someBytes(5 * pieceBytes)
    const digest = digestOf(bytes)
    const liar = double({
      mesh: world.mesh,
      identity: world.identity(),
      bytes: someBytes(bytes.length),
      digest,
    })
    const blob = await downloader.exchange.open(wanted(digest))
    if (blob === undefined) throw new Error('the liar has it')
    await expect(read(blob)).rejects.toMatchObject({ code: 'BLOB_UNPROVEN' })
    await blob[Symbol.asyncDispose]()
    expect(downloader.blamed).toEqual([{ peer: liar.peer, misconduct: 'lying-list' }])
    expect(await store.blobs.stat(digest)).toBeUndefined()
    await until('the part to be gone', async () => (await store.partials.list()).length === 0)
  })
})

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}

async function pathOf(directory: string, hex: string): Promise<string> {
  const names = await readdir(join(directory, 'first'), { recursive: true })
  const found = names.find((name) => name.startsWith('blobs') && name.includes(hex))
  if (found === undefined) throw new Error(`${hex} is not on the disk`)
  return join(directory, 'first', found)
}
