import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ReadBuffers } from '../../../src/store/files/read-buffers.ts'
import { SharedFile, type SharedReading } from '../../../src/store/files/shared-file.ts'
import { temporaryFolder } from '../scenery.ts'

const mebibyte = 2 ** 20

async function readAll(
  file: SharedFile,
  [start, end]: [number, number],
  options: SharedReading = {},
): Promise<string> {
  let text = ''
  for await (const chunk of file.chunks(start, end, options)) text += Buffer.from(chunk).toString('latin1')
  return text
}

describe('a shared file', () => {
  it('that could not be opened is opened for the next reader', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'part')
    const file = new SharedFile(path, new ReadBuffers(mebibyte))
    await expect(readAll(file, [1, 4])).rejects.toThrow('ENOENT')
    await writeFile(path, 'abcdef')
    expect(await Promise.all([readAll(file, [1, 4]), readAll(file, [1, 4])])).toEqual(['bcd', 'bcd'])
    await file.close()
  })

  it('is read on from the disk where it is not in memory any more', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'part')
    const text = 'abcdefgh'.repeat(40_000)
    await writeFile(path, text)
    const file = new SharedFile(path, new ReadBuffers(mebibyte / 8))
    const reads: number[] = []
    const options: SharedReading = { isInMemory: (_, end) => end <= 200_000, onTook: (ms) => reads.push(ms) }
    expect(await readAll(file, [3, text.length - 3], options)).toBe(text.slice(3, -3))
    // As many as fit into buffers of 64 KiB below the bound.
    expect(reads).toHaveLength(3)
    await file.close()
  })

  it('lets the event loop turn while much is read from memory', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'part')
    await writeFile(path, Buffer.alloc(8 * mebibyte))
    const file = new SharedFile(path, new ReadBuffers(32 * mebibyte))
    let turns = 0
    const count = (): void => {
      turns++
      counting = setImmediate(count)
    }
    let counting = setImmediate(count)
    for (let at = 0; at < 8 * mebibyte; at += mebibyte / 4) {
      for await (const chunk of file.chunks(at, at + mebibyte / 4, { isInMemory: () => true })) {
        expect(chunk).toHaveLength(mebibyte / 4)
      }
    }
    clearImmediate(counting)
    expect(turns).toBeGreaterThanOrEqual(6)
    await file.close()
  })

  it('that ends too early says so', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'part')
    await writeFile(path, 'abcdef')
    const file = new SharedFile(path, new ReadBuffers(mebibyte))
    await truncate(path, 3)
    const reading = readAll(file, [0, 6], { isInMemory: () => true })
    await expect(reading).rejects.toMatchObject({ code: 'BLOB_TRUNCATED' })
    await file.close()
  })
})
