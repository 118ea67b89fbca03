/** Writing into a folder that a stranger prepared: nothing outside of it is touched. */
import { linkSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type ArchiveWriter, blobPath, openFolderWriter, openTarWriter } from '../../src/archive/archive.ts'
import { digestBytes } from '../../src/oci/oci.ts'
import { inScratch } from './scratch.ts'

const bytes = Buffer.from('a layer')
const blob = { mediaType: 'application/octet-stream', digest: digestBytes(bytes), size: bytes.length }
const path = blobPath(blob)

async function* layer(): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function writeAll(writer: ArchiveWriter): Promise<void> {
  if (!(await writer.hasBlob(blob))) await writer.putBlob(blob, layer())
  await writer.putFile('index.json', '{}')
  await writer.finish()
}

async function exportTo(folder: string): Promise<void> {
  await using writer = await openFolderWriter(folder)
  await writeAll(writer)
}

describe('a folder that a stranger prepared', () => {
  it.each([
    ['blobs', (outside: string) => outside],
    ['blobs/sha256', (outside: string) => outside],
    [`${path}.unfinished`, (outside: string) => join(outside, 'precious')],
    ['index.json.unfinished', (outside: string) => join(outside, 'precious')],
    [path, (outside: string) => join(outside, 'precious')],
    ['index.json', (outside: string) => join(outside, 'precious')],
    ['index.json', (outside: string) => join(outside, 'nothing-yet')],
  ])('leads nowhere by a link at %s', async (name, target) => {
    await inScratch(async (at) => {
      mkdirSync(at('outside'))
      writeFileSync(join(at('outside'), 'precious'), 'precious')
      const link = join(at('disk'), name)
      mkdirSync(dirname(link), { recursive: true })
      symlinkSync(target(at('outside')), link)
      await exportTo(at('disk')).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'ARCHIVE' })
      })
      expect(await readdir(at('outside'))).toEqual(['precious'])
      expect(await readFile(join(at('outside'), 'precious'), 'utf8')).toBe('precious')
    })
  })

  it.each([path, `${path}.unfinished`, 'index.json', 'index.json.unfinished'])(
    'shares no file with others through a hard link at %s',
    async (name) => {
      await inScratch(async (at) => {
        writeFileSync(at('precious'), 'precious')
        const link = join(at('disk'), name)
        mkdirSync(dirname(link), { recursive: true })
        linkSync(at('precious'), link)
        await exportTo(at('disk'))
        expect(readFileSync(at('precious'), 'utf8')).toBe('precious')
        expect(readFileSync(join(at('disk'), path), 'utf8')).toBe('a layer')
        expect(readFileSync(join(at('disk'), 'index.json'), 'utf8')).toBe('{}')
      })
    },
  )

  it('is left while it is written to, when a folder in it is swapped for a link', async () => {
    await inScratch(async (at) => {
      mkdirSync(at('outside'))
      await using writer = await openFolderWriter(at('disk'))
      const swapping = async function* () {
        renameSync(join(at('disk'), 'blobs'), join(at('disk'), 'moved'))
        symlinkSync(at('outside'), join(at('disk'), 'blobs'))
        yield bytes
      }
      await writer.putBlob(blob, swapping()).catch(() => undefined)
      await expect(writer.putBlob(blob, layer())).rejects.toMatchObject({ code: 'ARCHIVE' })
      expect(await readdir(at('outside'))).toEqual([])
    })
  })

  it('may itself be named by a link, which who exports has chosen', async () => {
    await inScratch(async (at) => {
      mkdirSync(at('real'))
      symlinkSync(at('real'), at('disk'))
      await exportTo(at('disk'))
      expect(readFileSync(join(at('real'), path), 'utf8')).toBe('a layer')
    })
  })
})

it('a tar file is written through no link at its unfinished name', async () => {
  await inScratch(async (at) => {
    writeFileSync(at('precious'), 'precious')
    symlinkSync(at('precious'), at('disk.tar.unfinished'))
    {
      await using writer = await openTarWriter(at('disk.tar'))
      await writeAll(writer)
    }
    expect(readFileSync(at('precious'), 'utf8')).toBe('precious')
    expect(readFileSync(at('disk.tar')).length).toBeGreaterThan(1024)
  })
})
