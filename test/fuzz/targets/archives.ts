/** Archives of images: tar files, what is listed in them, and the records that go along. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import {
  type ArchiveFiles,
  decodeRecords,
  encodeRecords,
  openTarFiles,
  readImageList,
} from '../../../src/archive/archive.ts'
import { checkName, encodeHeader, parseHeader, parsePax } from '../../../src/archive/tar-header.ts'
import { maxManifestBytes } from '../../../src/oci/oci.ts'
import { tar } from '../../e2e/tar.ts'
import { ascii, type Decoder, latin1, mustBe, refusing, refusingLater, type Target } from '../target.ts'

const archive = ['ARCHIVE']
/** What a name or a manifest in it can be wrong with. */
const oci = ['MANIFEST_INVALID', 'UNSUPPORTED', 'DIGEST_INVALID', 'NAME_INVALID', 'TAG_INVALID']
const blockBytes = 512

/** With the right sum, which a fuzzer would hardly ever hit. */
function summed(block: Uint8Array): Uint8Array {
  const copy = new Uint8Array(blockBytes)
  copy.set(block.subarray(0, blockBytes))
  copy.fill(0x20, 148, 156)
  const sum = copy.reduce((total, byte) => total + byte, 0)
  copy.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `), 148)
  return copy
}

const headers: Decoder = {
  seeds: [encodeHeader('blobs/sha256/ab', 5), encodeHeader(`a/${'b'.repeat(200)}`, 9 * 8 ** 11)],
  check(bytes) {
    const block = bytes.length === 0 ? bytes : summed(bytes)
    if (block.length === 0) return
    const header = refusing(archive, () => parseHeader(block, 'it'))
    if (header === undefined) return
    mustBe(Number.isSafeInteger(header.size) && header.size >= 0, 'a size that is none')
    const name = refusing(archive, () => checkName(header.name))
    if (name !== undefined)
      mustBe(!name.split('/').includes('..') && !name.startsWith('/'), `leads out by ${name}`)
  },
}

const pax: Decoder = {
  seeds: ascii('12 path=a/b\n', '12 path=a/b\n20 linkpath=../../a\n', '30 mtime=1350244992.023960108\n'),
  check(bytes) {
    const found = refusing(archive, () => parsePax(bytes, 'it'))
    for (const key of found?.keys() ?? []) mustBe(!key.includes('='), 'a key with a value in it')
  },
}

const folder = mkdtempSync(path.join(tmpdir(), 'shoal-fuzz-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

/** A whole file: where a block looks like a header, its sum is put right. */
const tars: Decoder = {
  seeds: [
    new Uint8Array(tar([{ path: 'oci-layout', bytes: Buffer.from('{"imageLayoutVersion":"1.0.0"}') }])),
    new Uint8Array([...encodeHeader('a'.repeat(120), 0), ...encodeHeader('a', 0), ...new Uint8Array(1024)]),
  ],
  async check(bytes) {
    const whole = new Uint8Array(bytes)
    for (let at = 0; at + blockBytes <= whole.length; at += blockBytes) {
      const isHeader = latin1(whole.subarray(at + 257, at + 262)) === 'ustar'
      if (isHeader) whole.set(summed(whole.subarray(at, at + blockBytes)), at)
    }
    const file = path.join(folder, 'file.tar')
    writeFileSync(file, whole)
    const signal = new AbortController().signal
    await using files = await refusingLater(archive, () => openTarFiles(file, { signal }))
    if (files === undefined) return
    for (const name of ['oci-layout', 'a', 'manifest.json']) await readThrough(files, name, whole.length)
  },
}

async function readThrough(files: ArchiveFiles, name: string, most: number): Promise<void> {
  const found = await refusingLater(archive, () => files.find(name))
  if (found === undefined) return
  let length = 0
  await refusingLater(archive, async () => {
    for await (const chunk of files.chunks(name)) length += chunk.length
  })
  mustBe(length <= most, `${length} bytes of a file of ${most}`)
}

/** Files as `name`, a line's end, the bytes, a zero byte. */
const images: Decoder = {
  seeds: ascii(
    'oci-layout\n{"imageLayoutVersion":"1.0.0"}\0index.json\n{"schemaVersion":2,"manifests":[]}',
    'oci-layout\n{"imageLayoutVersion":"1.0.0"}\0index.json\n{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",' +
      `"digest":"sha256:${'ab'.repeat(32)}","size":5,"annotations":{"org.opencontainers.image.ref.name":"a/b:1"}}]}`,
    'manifest.json\n[{"Config":"c.json","RepoTags":["team/app:1"],"Layers":["l"]}]\0c.json\n' +
      `{"rootfs":{"type":"layers","diff_ids":["sha256:${'ab'.repeat(32)}"]}}\0l\nx`,
  ),
  async check(bytes) {
    const entries = latin1(bytes)
      .split('\0')
      .map((text): [string, Buffer] => {
        const [name = '', ...rest] = text.split('\n')
        return [name, Buffer.from(rest.join('\n'), 'latin1')]
      })
    const list = await refusingLater([...archive, ...oci], () => readImageList(inMemory(new Map(entries))))
    for (const { root, names } of list?.images ?? []) {
      mustBe(root.size <= maxManifestBytes * 1024, 'a manifest larger than any')
      for (const { tag } of names) mustBe(tag.length <= 128, 'a tag that is none')
      await refusingLater([...archive, ...oci], async () => await list?.readManifest(root))
      await refusingLater(archive, async () => await list?.findBlob(root))
    }
  },
}

function inMemory(files: ReadonlyMap<string, Buffer>): ArchiveFiles {
  return {
    name: 'it',
    async find(name) {
      const file = files.get(name)
      return file === undefined ? undefined : { size: file.length }
    },
    async *chunks(name) {
      yield files.get(name) ?? Buffer.alloc(0)
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

/** The first byte is how long a chunk is. */
const recordFiles: Decoder = {
  seeds: [Uint8Array.from([40, ...Buffer.from(encodeRecords([new Uint8Array(3), new Uint8Array(40)]))])],
  async check(bytes) {
    const [step = 0, ...rest] = bytes
    const whole = Buffer.from(rest)
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < whole.length; at += step + 1) yield whole.subarray(at, at + step + 1)
    }
    const records = await refusingLater(archive, () => Array.fromAsync(decodeRecords(chunks())))
    if (records === undefined) return
    const again = await Array.fromAsync(decodeRecords(textOf(encodeRecords(records))))
    mustBe(
      JSON.stringify(again) === JSON.stringify(records),
      'other records when they are written and read again',
    )
  },
}

async function* textOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

export const archives: Target = { decoders: { headers, pax, tars, images, recordFiles } }
