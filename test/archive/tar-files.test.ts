import { execFile } from 'node:child_process'
import { mkdir, open, symlink, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ArchiveError, openTarFiles } from '../../src/archive/archive.ts'
import { encodeHeader, parseHeader, parsePax } from '../../src/archive/tar-header.ts'
import { collect, headerOf, inScratch, type TarEntry, tarOf, withChecksum, writeTar } from './scratch.ts'

const run = promisify(execFile)
const { signal } = new AbortController()
const openTar = (path: string) => openTarFiles(path, { signal })

/** A pax header with these records, before the file that it is about. */
const pax = (records: Record<string, string>): TarEntry => {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = ` ${key}=${value}\n`
    const length = [2, 3, 4, 5]
      .map((digits) => digits + rest.length)
      .find((sum) => String(sum).length + rest.length === sum)
    return `${length}${rest}`
  })
  return { name: 'pax', type: 'x', bytes: lines.join('') }
}

describe('a tar file', () => {
  it('gives back what was written into it, whatever the names and sizes', () =>
    inScratch(async (at) => {
      const names = fc.uniqueArray(fc.stringMatching(/^[a-z0-9]{1,40}(\/[a-z0-9]{1,120}){0,2}$/), {
        minLength: 1,
        maxLength: 5,
      })
      await fc.assert(
        fc.asyncProperty(
          names,
          fc.array(fc.uint8Array({ maxLength: 2000 }), { minLength: 5, maxLength: 5 }),
          async (all, bodies) => {
            const blocks = all.flatMap((name, index) => {
              const body = bodies[index] ?? new Uint8Array()
              return [encodeHeader(name, body.length), body, Buffer.alloc((512 - (body.length % 512)) % 512)]
            })
            await writeFile(at('some.tar'), Buffer.concat([...blocks, Buffer.alloc(1024)]))
            await using files = await openTar(at('some.tar'))
            for (const [index, name] of all.entries()) {
              const body = Buffer.from(bodies[index] ?? [])
              expect(await files.find(name)).toEqual({ size: body.length })
              expect(await collect(files.chunks(name))).toEqual(body)
            }
          },
        ),
        { numRuns: 50 },
      )
    }))

  it.each(['gnu', 'pax', 'ustar', 'v7'])('is read as tar writes it in the format %s', (format) =>
    inScratch(async (at) => {
      const long = 'a-long-folder-name-that-fills-its-field'
      await mkdir(at(`in/blobs/${long}`), { recursive: true })
      await writeFile(at('in/index.json'), '{}')
      await writeFile(at(`in/blobs/${long}/x`), 'x'.repeat(1000))
      await symlink(`${long}/x`, at('in/blobs/link'))
      await run('tar', ['-C', at('in'), `--format=${format}`, '-cf', at('out.tar'), '.'])
      await using files = await openTar(at('out.tar'))
      expect((await collect(files.chunks('index.json'))).toString()).toBe('{}')
      expect(await files.find(`blobs/${long}/x`)).toEqual({ size: 1000 })
      expect((await collect(files.chunks('blobs/link'))).length).toBe(1000)
      expect(await files.find('blobs')).toBeUndefined()
      expect(await files.find('none')).toBeUndefined()
    }),
  )

  it('is read by tar with a name and a size beyond the plain fields', () =>
    inScratch(async (at) => {
      const name = `blobs/sha512/${'f'.repeat(128)}`
      const file = await open(at('big.tar'), 'w')
      const size = 9 * 2 ** 30
      const header = encodeHeader(name, size)
      await file.write(header, 0, header.length, 0)
      // Only its length is on the disk: 9 GiB of nothing.
      await file.truncate(header.length + size + 1024)
      await file.close()
      const { stdout } = await run('tar', ['-tvf', at('big.tar')])
      expect(stdout).toContain(`${size}`)
      expect(stdout).toContain(name)
      await using files = await openTar(at('big.tar'))
      expect(await files.find(name)).toEqual({ size })
    }))

  it('knows sizes in base 256, as GNU tar writes them', () => {
    const header = headerOf({ name: 'big' })
    header.fill(0, 124, 136)
    header[124] = 0x80
    header.writeUIntBE(9 * 2 ** 30, 130, 6)
    expect(parseHeader(withChecksum(header), 'it')?.size).toBe(9 * 2 ** 30)
  })

  it.each<[string, TarEntry[] | Buffer, RegExp]>([
    ['a name that climbs', [{ name: '../etc/passwd' }], /leads out/],
    ['a name that climbs in the middle', [{ name: 'blobs/../../x' }], /leads out/],
    ['an absolute name', [{ name: '/etc/passwd' }], /leads out/],
    ['a name that climbs in a pax header', [pax({ path: '../x' }), { name: 'x' }], /leads out/],
    [
      'a name that climbs, as GNU tar writes long ones',
      [{ name: 'L', type: 'L', bytes: 'a/../../x' }, { name: 'x' }],
      /leads out/,
    ],
    ['a name that is too long', [pax({ path: `${'a/'.repeat(400)}x` }), { name: 'x' }], /leads out/],
    ['a hard link', [{ name: 'a', type: '1', target: 'b' }], /hard link/],
    ['a device', [{ name: 'a', type: '3' }], /of the kind "3"/],
    ['a named pipe', [{ name: 'a', type: '6' }], /of the kind "6"/],
    ['an unknown kind', [{ name: 'a', type: 'Z' }], /of the kind "Z"/],
    ['a sparse file', [pax({ 'GNU.sparse.major': '1' }), { name: 'a' }], /sparse/],
    ['an old sparse file', [{ name: 'a', type: 'S' }], /of the kind "S"/],
    ['a file that stands twice', [{ name: 'a' }, { name: './a' }], /stands twice/],
    ['a file and a link of one name', [{ name: 'a' }, { name: 'a', type: '2', target: 'b' }], /stands twice/],
    [
      'a file longer than the rest',
      tarOf([{ name: 'a', bytes: 'x', size: 1_000_000 }]),
      /longer than what is left/,
    ],
    ['a size near 2^63', [pax({ size: '9223372036854775807' }), { name: 'a' }], /size that is none/],
    ['a negative size', [pax({ size: '-1' }), { name: 'a' }], /size that is none/],
    [
      'a pax header of a megabyte',
      [{ name: 'p', type: 'x', bytes: 'x'.repeat(1_000_000) }],
      /bytes of names/,
    ],
    [
      'a pax header that claims gigabytes',
      tarOf([{ name: 'p', type: 'x', size: 2 ** 33 }]),
      /bytes of names/,
    ],
    [
      'a pax header that makes no sense',
      [{ name: 'p', type: 'x', bytes: '99 path=x\n' }, { name: 'a' }],
      /makes no sense/,
    ],
    [
      'a pax header with the length 0',
      [{ name: 'p', type: 'x', bytes: '0 path=x\n' }, { name: 'a' }],
      /makes no sense/,
    ],
    ['a checksum that is wrong', Buffer.alloc(512, 'x'), /no tar header/],
    ['half a header', tarOf([{ name: 'a' }], { ends: false }).subarray(0, 300), /ends in/],
    ['what gzip made', Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0]), /compressed with gzip/],
    ['what zstd made', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0]), /compressed with zstd/],
  ])('is refused with %s', (_what, content, message) =>
    inScratch(async (at) => {
      await writeFile(at('bad.tar'), Array.isArray(content) ? tarOf(content) : content)
      const opening = openTar(at('bad.tar'))
      await expect(opening).rejects.toThrow(message)
      await expect(opening).rejects.toBeInstanceOf(ArchiveError)
    }),
  )

  it.each([
    ['out of the archive', '../../etc/passwd'],
    ['to an absolute path', '/etc/passwd'],
    ['nowhere', 'none'],
    ['to itself', 'link'],
    ['to another link', 'other'],
  ])('has no file where a link leads %s', (_where, target) =>
    inScratch(async (at) => {
      const links = [
        { name: 'blobs/link', type: '2', target },
        { name: 'blobs/other', type: '2', target: 'link' },
      ]
      await using files = await openTar(await writeTar(at('links.tar'), links))
      await expect(files.find('blobs/link')).rejects.toThrow(
        /leads out of the archive, nowhere, or to another link/,
      )
    }),
  )

  it('never throws anything else for bytes at random', () =>
    inScratch(async (at) => {
      await fc.assert(
        fc.asyncProperty(
          fc.uint8Array({ maxLength: 3000 }),
          fc.nat({ max: 1023 }),
          fc.nat({ max: 255 }),
          async (tail, where, byte) => {
            const bytes = Buffer.concat([
              tarOf([pax({ path: 'b' }), { name: 'a', bytes: 'text' }], { ends: false }),
              tail,
            ])
            bytes[where] = byte
            await writeFile(at('random.tar'), bytes)
            try {
              await (await openTar(at('random.tar')))[Symbol.asyncDispose]()
            } catch (error) {
              expect(error).toBeInstanceOf(ArchiveError)
            }
          },
        ),
        { numRuns: 200 },
      )
    }))

  it('says of a pax header what it says', () => {
    expect(parsePax(Buffer.from('11 path=ab\n13 size=1234\n'), 'it')).toEqual(
      new Map([
        ['path', 'ab'],
        ['size', '1234'],
      ]),
    )
  })
})
