/** Blobs whose file is taken away, by eviction or the collector, while somebody opens or reads them. */
import { unlinkSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Digest } from '../../../src/oci/oci.ts'
import { CheckedBlobs } from '../../../src/store/blobs/checked-blobs.ts'
import { SoundFiles } from '../../../src/store/blobs/sound-files.ts'
import { BlobFiles } from '../../../src/store/files/blob-files.ts'
import { ReadBuffers } from '../../../src/store/files/read-buffers.ts'
import { Leases } from '../../../src/store/links/leases.ts'
import { digestOf, type Folder, handClock, readAll, seededBytes, temporaryFolder } from '../scenery.ts'

const bytes = seededBytes(1_500_000)
const digest = digestOf(bytes)

let folder: Folder
let files: BlobFiles

beforeEach(async () => {
  folder = await temporaryFolder()
  files = new BlobFiles(folder.path)
  await files.prepare()
  await writeFile(await files.placeOf(digest), bytes)
})

afterEach(async () => await folder[Symbol.asyncDispose]())

/** Without sums; `looked` runs when they are looked for. */
function checkedBlobs(looked: () => void = () => undefined): CheckedBlobs {
  const find = (): undefined => void looked()
  return new CheckedBlobs({
    files,
    buffers: new ReadBuffers(2 ** 22),
    sums: { find },
    sound: new SoundFiles(new Leases(handClock(), 60_000)),
    verify: async (blob: Digest) => (await files.stat(blob)) !== undefined,
    unreadable: { note: () => undefined },
  })
}

describe('a blob that is taken away', () => {
  it('between its file and its sums is missing, not rotten', async () => {
    let looks = 0
    const blobs = checkedBlobs(() => {
      if (looks++ === 0) unlinkSync(files.blobPath(digest))
    })
    expect(await blobs.open(digest)).toBeUndefined()
    expect(looks).toBeGreaterThan(0)
  })

  it('and has no sums ends its reading before the last bytes, and says why', async () => {
    const blob = await checkedBlobs().open(digest)
    if (blob === undefined) throw new Error('it is not here')
    await using reading = blob
    unlinkSync(files.blobPath(digest))
    await expect(readAll(reading)).rejects.toThrow(`${digest} was removed while it was read`)
  })
})

it('tells the size of a small blob from memory as it gives its bytes, while its file is what was proven', async () => {
  const small = seededBytes(4096)
  const name = digestOf(small)
  await writeFile(await files.placeOf(name), small)
  const blobs = checkedBlobs()
  {
    await using blob = await blobs.open(name)
    if (blob !== undefined) await readAll(blob)
  }
  const asked = vi.spyOn(files, 'stat')
  expect(await blobs.stat(name)).toEqual({ size: 4096 })
  expect(asked).not.toHaveBeenCalled()
  unlinkSync(files.blobPath(name))
  expect(await blobs.stat(name)).toBeUndefined()
})
