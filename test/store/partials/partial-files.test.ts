import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, truncateSync, writeFileSync } from 'node:fs'
import { open, readdir, readFile, readlink, rename, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Digest, digestBytes } from '../../../src/oci/oci.ts'
import { type FileStore, openDatabase, openStore, type PartialBlob } from '../../../src/store/store.ts'
import { temporaryFolder } from '../scenery.ts'

const run = promisify(execFile)
const pieceBytes = 64 * 1024
const blob = randomBytes(5 * pieceBytes + 1234)
const digest = digestBytes(blob)
const count = 6

function hashesOf(bytes: Uint8Array): Uint8Array {
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, piece) =>
    pieceOf(piece, bytes),
  )
  return Buffer.concat(pieces.map((piece) => createHash('sha256').update(piece).digest()))
}

function pieceOf(piece: number, bytes: Uint8Array = blob): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(bytes.subarray(piece * pieceBytes, (piece + 1) * pieceBytes))
}

const plan = { digest, size: blob.length, pieceBytes, hashes: hashesOf(blob) }

async function openAt(directory: string, opened: AsyncDisposableStack, boot = 'a boot'): Promise<FileStore> {
  const database = opened.adopt(await openDatabase(directory), (level) => level.close())
  return opened.use(await openStore({ directory, database, minFreeBytes: 0, workers: 1, boot }))
}

async function withStore(work: (store: FileStore, directory: string) => Promise<void>): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const folder = opened.use(await temporaryFolder())
  await work(await openAt(folder.path, opened), folder.path)
}

async function read(blobOrPart: Pick<PartialBlob, 'chunks'>, start: number, end: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of blobOrPart.chunks(start, end)) chunks.push(Uint8Array.from(chunk))
  return Buffer.concat(chunks)
}

async function readStored(store: FileStore, wanted: Digest): Promise<Buffer | undefined> {
  const stored = await store.blobs.open(wanted)
  if (stored === undefined) return undefined
  await using whole = stored
  return await read(whole, 0, whole.size)
}

describe('a partial blob', () => {
  it('becomes the blob from pieces in any order, in chunks of any size', async () => {
    await withStore(async (store) => {
      const order = fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: count })
      await fc.assert(
        fc.asyncProperty(order, fc.integer({ min: 1000, max: pieceBytes }), async (pieces, chunkBytes) => {
          await using part = await store.partials.open(plan)
          for (const piece of pieces) {
            const bytes = pieceOf(piece)
            const chunks: Uint8Array[] = []
            for (let at = 0; at < bytes.length; at += chunkBytes)
              chunks.push(bytes.slice(at, at + chunkBytes))
            expect(await part.write(piece, chunks)).toBe(true)
          }
          expect(part.held).toBe(count)
          await part.finish()
          expect((await readStored(store, digest))?.equals(blob)).toBe(true)
          expect(await store.partials.list()).toEqual([])
        }),
        { numRuns: 10 },
      )
    })
  })

  it('gives the memory of chunks back, of a piece that is right and of one that is wrong', async () => {
    await withStore(async (store) => {
      await using part = await store.partials.open(plan)
      for (const piece of [2, 3]) {
        const memory = new Uint8Array(2 * pieceBytes)
        memory.set(pieceOf(2), 9)
        const half = 9 + pieceBytes / 2
        const chunks = [memory.subarray(9, half), memory.subarray(half, 9 + pieceBytes)]
        const given: ArrayBuffer[] = []
        expect(await part.write(piece, chunks, (back) => given.push(back))).toBe(piece === 2)
        expect(memory.buffer.byteLength).toBe(0)
        expect(given.map((back) => Buffer.from(back, 9, pieceBytes).equals(pieceOf(2)))).toEqual([true])
      }
    })
  })

  it('does not take a piece that is wrong, too short or too long, and takes the right one afterwards', async () => {
    await withStore(async (store) => {
      await using part = await store.partials.open(plan)
      const wrong = pieceOf(2)
      wrong[100] = (wrong[100] ?? 0) ^ 1
      for (const chunks of [[wrong], [pieceOf(2).slice(1)], [pieceOf(2), new Uint8Array(1)], []]) {
        expect(await part.write(2, chunks)).toBe(false)
        expect(part.has(2)).toBe(false)
      }
      await expect(read(part, 2 * pieceBytes, 2 * pieceBytes + 1)).rejects.toThrow(RangeError)
      expect(await part.write(2, [pieceOf(2)])).toBe(true)
      const again = pieceOf(2)
      again[0] = (again[0] ?? 0) ^ 1
      // A late duplicate cannot change what is verified.
      expect(await part.write(2, [again])).toBe(true)
      expect((await read(part, 2 * pieceBytes, 3 * pieceBytes)).equals(Buffer.from(pieceOf(2)))).toBe(true)
      expect(await store.blobs.stat(digest)).toBeUndefined()
    })
  })

  it('tells that a piece is right before the whole is hashed over it, and at the end that it could not be', async () => {
    await withStore(async (store, directory) => {
      await using part = await store.partials.open(plan)
      for (const piece of [1, 2, 3, 4, 5]) await part.write(piece, [pieceOf(piece)])
      const [file = ''] = await readdir(join(directory, 'partials'))
      truncateSync(join(directory, 'partials', file), pieceBytes)
      expect(await part.write(0, [pieceOf(0)])).toBe(true)
      await expect(part.finish()).rejects.toThrow(`the file ends at ${pieceBytes}`)
      expect(await store.blobs.stat(digest)).toBeUndefined()
    })
  })

  it('is read while it grows, across its pieces', async () => {
    await withStore(async (store) => {
      await using part = await store.partials.open(plan)
      for (const piece of [1, 2, 5]) await part.write(piece, [pieceOf(piece)])
      const start = pieceBytes + 10
      expect((await read(part, start, 3 * pieceBytes)).equals(blob.subarray(start, 3 * pieceBytes))).toBe(
        true,
      )
      expect((await read(part, 5 * pieceBytes, blob.length)).equals(blob.subarray(5 * pieceBytes))).toBe(true)
      await expect(read(part, start, 3 * pieceBytes + 1)).rejects.toThrow('piece 3')
    })
  })

  it('is read to the end by who began to before it became the blob, and keeps no file open', async () => {
    const [, hex = ''] = digest.split(':')
    const openFiles = async (): Promise<number> => {
      const files = await readdir('/proc/self/fd')
      const paths = await Promise.allSettled(files.map((file) => readlink(`/proc/self/fd/${file}`)))
      return paths.filter((path) => path.status === 'fulfilled' && path.value.includes(hex)).length
    }
    await withStore(async (store) => {
      const part = await store.partials.open(plan)
      for (let piece = 0; piece < count; piece++) await part.write(piece, [pieceOf(piece)])
      const reading = part.chunks(0, blob.length)[Symbol.asyncIterator]()
      const first = Uint8Array.from((await reading.next()).value ?? [])
      await part.finish()
      expect(await openFiles()).toBe(1)
      const rest = [first]
      for (let next = await reading.next(); next.done !== true; next = await reading.next()) {
        rest.push(Uint8Array.from(next.value))
      }
      expect(Buffer.concat(rest).equals(blob)).toBe(true)
      await expect(read(part, 0, 10)).rejects.toThrow('ENOENT')
      expect(await openFiles()).toBe(0)
    })
  })

  it('goes on after a restart with what still hashes right', async () => {
    await using opened = new AsyncDisposableStack()
    const folder = opened.use(await temporaryFolder())
    {
      await using first = new AsyncDisposableStack()
      const store = await openAt(folder.path, first)
      await using part = await store.partials.open(plan)
      for (const piece of [0, 1, 3]) await part.write(piece, [pieceOf(piece)])
    }
    const file = await open(join(folder.path, 'partials', digest.replace(':', '-')), 'r+')
    await file.write(Buffer.alloc(16), 0, 16, pieceBytes + 5)
    await file.close()
    const store = await openAt(folder.path, opened)
    expect(await store.partials.list()).toMatchObject([{ digest, size: blob.length }])
    await using part = await store.partials.open(plan)
    expect([0, 1, 2, 3].map((piece) => part.has(piece))).toEqual([true, false, false, true])
    for (const piece of [1, 2, 4, 5]) await part.write(piece, [pieceOf(piece)])
    await part.finish()
    expect((await readStored(store, digest))?.equals(blob)).toBe(true)
  })

  describe('that was closed in order', () => {
    const large = randomBytes(128 * pieceBytes)
    const [name, hashes] = [digestBytes(large), hashesOf(large)]
    const whole = { digest: name, size: large.length, pieceBytes, hashes }
    const most = Array.from({ length: 120 }, (_, piece) => piece)

    /** How much is held, and how many bytes were read for that, when it is opened anew. */
    async function reopened(
      change: { plan?: typeof whole; boot?: string; path?: (file: string) => Promise<void> } = {},
    ): Promise<{ held: number; readBytes: number }> {
      await using opened = new AsyncDisposableStack()
      const folder = opened.use(await temporaryFolder())
      {
        await using first = new AsyncDisposableStack()
        const store = await openAt(folder.path, first)
        await using part = await store.partials.open(whole)
        for (const piece of most) await part.write(piece, [pieceOf(piece, large)])
      }
      await change.path?.(join(folder.path, 'partials', name.replace(':', '-')))
      const store = await openAt(folder.path, opened, change.boot)
      const before = await bytesRead()
      await using part = await store.partials.open(change.plan ?? whole)
      const readBytes = (await bytesRead()) - before
      const { held } = part
      if (change.plan === undefined) {
        for (let piece = 0; piece < 128; piece++) await part.write(piece, [pieceOf(piece, large)])
        await part.finish()
      }
      return { held, readBytes }
    }

    async function bytesRead(): Promise<number> {
      return Number(/rchar: (\d+)/.exec(await readFile('/proc/self/io', 'utf8'))?.[1])
    }

    it('is gone on with without being read, after a restart of the node alone', async () => {
      const { held, readBytes } = await reopened()
      expect(held).toBe(120)
      expect(readBytes).toBeLessThan(pieceBytes * 16)
    })

    it.each<[string, Parameters<typeof reopened>[0]]>([
      ['the host was started again', { boot: 'another boot' }],
      ['its file was written to', { path: async (file) => await utimes(file, 1, 1) }],
      [
        'its file is another',
        {
          async path(file) {
            await run('cp', ['-p', file, `${file}.copy`])
            await rename(`${file}.copy`, file)
          },
        },
      ],
    ])('is hashed again where %s', async (_, change) => {
      const { held, readBytes } = await reopened(change)
      expect(held).toBe(120)
      expect(readBytes).toBeGreaterThanOrEqual(120 * pieceBytes)
    })

    it('and has rotted since, as the disk alone knows, has no list called wrong for that, and is hashed again then', async () => {
      await using opened = new AsyncDisposableStack()
      const folder = opened.use(await temporaryFolder())
      const path = join(folder.path, 'partials', digest.replace(':', '-'))
      {
        await using first = new AsyncDisposableStack()
        await using part = await (await openAt(folder.path, first)).partials.open(plan)
        for (const piece of [0, 1, 3]) await part.write(piece, [pieceOf(piece)])
      }
      await run('touch', ['-r', path, `${path}.times`])
      const file = await open(path, 'r+')
      await file.write(Buffer.alloc(16), 0, 16, pieceBytes + 5)
      await file.close()
      await run('touch', ['-r', `${path}.times`, path])
      const store = await openAt(folder.path, opened)
      const part = await store.partials.open(plan)
      expect(part.held).toBe(3)
      for (const piece of [2, 4, 5]) await part.write(piece, [pieceOf(piece)])
      await expect(part.finish()).rejects.toMatchObject({ code: 'BLOB_ROTTEN' })
      await using again = await store.partials.open(plan)
      expect([0, 1, 2, 3, 4, 5].filter((piece) => !again.has(piece))).toEqual([1])
    })

    it('is hashed again where another list tells its hashes', async () => {
      const other = hashes.slice()
      other[0] = (other[0] ?? 0) ^ 1
      expect(await reopened({ plan: { ...whole, hashes: other } })).toMatchObject({ held: 119 })
    })
  })

  it('starts over when its plan has another size', async () => {
    await withStore(async (store) => {
      const shorter = { ...plan, size: 3 * pieceBytes, hashes: plan.hashes.slice(0, 96) }
      {
        await using part = await store.partials.open(shorter)
        await part.write(0, [pieceOf(0)])
      }
      await using part = await store.partials.open(plan)
      expect(part.held).toBe(0)
    })
  })

  it('convicts a list whose pieces all match and whose whole does not, and keeps what another list says the same of', async () => {
    await withStore(async (store, directory) => {
      const lie = Buffer.from(blob)
      lie.set(randomBytes(100), pieceBytes)
      await using part = await store.partials.open({ ...plan, hashes: hashesOf(lie) })
      for (let piece = 0; piece < count; piece++)
        expect(await part.write(piece, [pieceOf(piece, lie)])).toBe(true)
      await expect(part.finish()).rejects.toMatchObject({ code: 'DIGEST_INVALID' })
      expect(await store.blobs.stat(digest)).toBeUndefined()
      const honest = await store.partials.open(plan)
      expect(honest.held).toBe(count - 1)
      expect(honest.has(1)).toBe(false)
      await honest[Symbol.asyncDispose]()
      expect(await store.partials.drop(digest)).toBe(true)
      expect(existsSync(join(directory, 'partials', digest.replace(':', '-')))).toBe(false)
    })
  })

  it('takes the word of who opens it for pieces that may be here, and hashes them all the same', async () => {
    await withStore(async (store) => {
      const first = await store.partials.open(plan)
      for (const piece of [0, 1]) expect(await first.write(piece, [pieceOf(piece)])).toBe(true)
      await first[Symbol.asyncDispose]()
      const other = await store.partials.open({ ...plan, hashes: hashesOf(randomBytes(blob.length)) })
      expect(other.held).toBe(0)
      await other[Symbol.asyncDispose]()
      await using again = await store.partials.open({ ...plan, claimed: [0, 1, 2] })
      expect([0, 1, 2].map((piece) => again.has(piece))).toEqual([true, true, false])
    })
  })

  it('whose hashes are not known takes pieces in order and says what they hash to', async () => {
    await withStore(async (store) => {
      await using part = await store.partials.open({ ...plan, hashes: new Uint8Array() })
      expect(await part.write(0, [pieceOf(0)])).toBe(false)
      for (const piece of [0, 1]) {
        const hash = await part.take(piece, [pieceOf(piece)])
        expect(Buffer.from(hash).equals(plan.hashes.subarray(piece * 32, piece * 32 + 32))).toBe(true)
      }
      await expect(part.take(3, [pieceOf(3)])).rejects.toThrow('piece 3')
      await expect(part.take(2, [pieceOf(2).slice(1)])).rejects.toThrow('not whole')
      // What it found out by itself stays, whatever is said of it.
      await part.learn(1, Buffer.concat([Buffer.alloc(32), plan.hashes.subarray(64, 160)]))
      for (const piece of [4, 2, 3]) expect(await part.write(piece, [pieceOf(piece)])).toBe(true)
      await part.take(5, [pieceOf(5)])
      await part.finish()
      expect((await readStored(store, digest))?.equals(blob)).toBe(true)
    })
  })

  it('goes on after a restart with those pieces whose hashes are still known', async () => {
    await using opened = new AsyncDisposableStack()
    const folder = opened.use(await temporaryFolder())
    {
      await using first = new AsyncDisposableStack()
      const store = await openAt(folder.path, first)
      await using part = await store.partials.open({ ...plan, hashes: new Uint8Array() })
      for (const piece of [0, 1, 2]) await part.take(piece, [pieceOf(piece)])
    }
    const store = await openAt(folder.path, opened)
    await using part = await store.partials.open({ ...plan, hashes: plan.hashes.subarray(0, 64) })
    expect([0, 1, 2].map((piece) => part.has(piece))).toEqual([true, true, false])
    for (const piece of [2, 3, 4, 5]) await part.take(piece, [pieceOf(piece)])
    await part.finish()
    expect((await readStored(store, digest))?.equals(blob)).toBe(true)
  })

  it('is open once at a time, and can be dropped when it is not', async () => {
    await withStore(async (store) => {
      {
        await using part = await store.partials.open(plan)
        await part.write(0, [pieceOf(0)])
        await expect(store.partials.open(plan)).rejects.toThrow('already')
        expect(await store.partials.drop(digest)).toBe(false)
      }
      expect(await store.partials.drop(digest)).toBe(true)
      expect(await store.partials.drop(digest)).toBe(false)
      await using part = await store.partials.open(plan)
      expect(part.held).toBe(0)
    })
  })

  it('proves sha512 digests and empty blobs too', async () => {
    await withStore(async (store) => {
      const long = { ...plan, digest: digestBytes(blob, 'sha512') }
      await using part = await store.partials.open(long)
      for (let piece = count - 1; piece >= 0; piece--) await part.write(piece, [pieceOf(piece)])
      await part.finish()
      expect((await readStored(store, long.digest))?.equals(blob)).toBe(true)
      const nothing = { digest: digestBytes(new Uint8Array()), size: 0, pieceBytes, hashes: new Uint8Array() }
      await using empty = await store.partials.open(nothing)
      await empty.finish()
      expect(await store.blobs.stat(nothing.digest)).toEqual({ size: 0 })
    })
  })
})

describe('a stored blob', () => {
  it('is hashed piece by piece', async () => {
    await withStore(async (store) => {
      await store.blobs.write(digest, once(blob))
      const part = { pieceBytes, start: 0, end: blob.length }
      expect(Buffer.from(await store.hashPieces(digest, part)).equals(plan.hashes)).toBe(true)
    })
  })

  it('is hashed in parts, and put into quarantine when one of them has rotted', async () => {
    const large = randomBytes(9 * pieceBytes + 1234)
    const [name, hashes] = [digestBytes(large), hashesOf(large)]
    const parts = [0, 4, 8].map((first) => ({
      pieceBytes,
      start: first * pieceBytes,
      end: Math.min((first + 4) * pieceBytes, large.length),
    }))
    await withStore(async (store, directory) => {
      await store.blobs.write(name, once(large))
      const inParts = await Promise.all(parts.map((part) => store.hashPieces(name, part)))
      expect(Buffer.concat(inParts).equals(hashes)).toBe(true)
      await expect(
        store.hashPieces(name, { pieceBytes, start: pieceBytes, end: 4 * pieceBytes }),
      ).rejects.toThrow('no whole blocks')
      const [, hex = ''] = name.split(':')
      await using file = await open(join(directory, 'blobs/sha256', hex.slice(0, 2), hex), 'r+')
      await file.write(Uint8Array.of((large[5 * pieceBytes] ?? 0) ^ 1), 0, 1, 5 * pieceBytes)
      const [first, second] = parts as [(typeof parts)[0], (typeof parts)[0]]
      expect(Buffer.from(await store.hashPieces(name, first)).equals(hashes.slice(0, 4 * 32))).toBe(true)
      await expect(store.hashPieces(name, second)).rejects.toMatchObject({ code: 'BLOB_ROTTEN' })
      expect(await store.blobs.stat(name)).toBeUndefined()
    })
  })

  it('is put into quarantine when it has rotted', async () => {
    await withStore(async (store, directory) => {
      await store.blobs.write(digest, once(blob))
      expect(await store.verifyBlob(digest)).toBe(true)
      const [, hex = ''] = digest.split(':')
      writeFileSync(join(directory, 'blobs/sha256', hex.slice(0, 2), hex), 'rot')
      expect(await store.verifyBlob(digest)).toBe(false)
      expect(await store.blobs.stat(digest)).toBeUndefined()
    })
  })
})

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield Uint8Array.from(bytes)
}
