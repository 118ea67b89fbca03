/** Blobs that are files of this host already. */
import { execFileSync } from 'node:child_process'
import { truncateSync } from 'node:fs'
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FileStore, openDatabase, openStore } from '../../src/store/store.ts'
import { digestOf, expectBytes, readBlob, seededBytes, temporaryFolder } from './scenery.ts'

const mib = 1024 * 1024
/** That many bytes are asked of the thread at a time. */
const slice = 16 * mib

describe('a file that becomes a blob', () => {
  let stack: AsyncDisposableStack
  let folder: string
  let store: FileStore
  let file: string

  beforeEach(async () => {
    stack = new AsyncDisposableStack()
    folder = stack.use(await temporaryFolder()).path
    const database = stack.adopt(await openDatabase(folder), (opened) => opened.close())
    store = stack.use(await openStore({ directory: folder, database, minFreeBytes: 0, workers: 1 }))
    file = join(folder, 'given')
  })
  afterEach(() => stack.disposeAsync())

  const leftovers = () => readdir(join(folder, 'uploads'))

  it.each([0, 1, mib, mib + 1, slice, slice + 3])('is copied and proven: %d bytes', async (size) => {
    const bytes = seededBytes(size)
    await writeFile(file, bytes)
    const parts: number[] = []
    const onBytes = (part: number): void => void parts.push(part)
    expect(await store.copyFile(digestOf(bytes), { path: file, size }, { onBytes })).toBe(true)
    expectBytes(await readBlob(store, digestOf(bytes)), bytes)
    expect(parts.reduce((sum, part) => sum + part, 0)).toBe(size)
    expect(await store.verifyBlob(digestOf(bytes))).toBe(true)
    expect(await leftovers()).toEqual([])
  })

  it('is refused when its bytes are not the digest’s, and nothing of it stays', async () => {
    const bytes = seededBytes(1000)
    await writeFile(file, bytes)
    const digest = digestOf(seededBytes(1000, 2))
    await expect(store.copyFile(digest, { path: file, size: 1000 })).rejects.toMatchObject({
      code: 'DIGEST_INVALID',
    })
    expect([await store.blobs.stat(digest), await leftovers()]).toEqual([undefined, []])
  })

  it('is refused when it becomes shorter meanwhile, and nobody waits for the rest', async () => {
    const bytes = seededBytes(slice + mib)
    await writeFile(file, bytes)
    const copying = store.copyFile(
      digestOf(bytes),
      { path: file, size: bytes.length },
      { onBytes: () => truncateSync(file, slice) },
    )
    await expect(copying).rejects.toMatchObject({ code: 'DIGEST_INVALID' })
    expect(await leftovers()).toEqual([])
  })

  it('stops between two parts when whoever asked for it is gone', async () => {
    const bytes = seededBytes(2 * slice)
    await writeFile(file, bytes)
    const gone = new AbortController()
    const copying = store.copyFile(
      digestOf(bytes),
      { path: file, size: bytes.length },
      { signal: gone.signal, onBytes: () => gone.abort(new Error('gone')) },
    )
    await expect(copying).rejects.toThrow('gone')
    expect(await leftovers()).toEqual([])
  })

  it('is none where it is a link, a folder, a pipe, of another size or not there', async () => {
    const bytes = seededBytes(10)
    await writeFile(file, bytes)
    await symlink(file, join(folder, 'link'))
    await mkdir(join(folder, 'folder'))
    execFileSync('mkfifo', [join(folder, 'pipe')])
    const copied = (path: string, size = 10) => store.copyFile(digestOf(bytes), { path, size })
    for (const name of ['link', 'folder', 'pipe', 'absent', 'given/below'])
      expect(await copied(join(folder, name))).toBe(false)
    expect(await copied(file, 11)).toBe(false)
    await rm(file)
    expect(await copied(file)).toBe(false)
  })
})
