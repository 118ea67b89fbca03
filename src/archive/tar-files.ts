/**
 * A tar file read in place: one pass over its headers, then each file by where it lies. Nothing is ever unpacked, so no
 * name in it can lead anywhere; and what is needed first may stand last, as it does in the archives of docker and skopeo.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { excerpt } from '../oci/oci.ts'
import { ArchiveError } from './errors.ts'
import type { ArchiveFiles } from './files.ts'
import { blockBytes, checkName, paddingOf, parseHeader, parsePax, type TarHeader } from './tar-header.ts'

type Entry = { start: number; size: number } | { target: string }

/** More than any image has layers; each costs some memory. */
const maxEntries = 100_000
/** Of what stands before a file: pax headers and long names. */
const maxExtraBytes = 64 * 1024
const chunkBytes = 256 * 1024

const compressions: [name: string, magic: number[]][] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
]

/** Throws ArchiveError for what is no tar file, or holds what no image archive does. */
export async function openTarFiles(path: string, { signal }: { signal: AbortSignal }): Promise<ArchiveFiles> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const reader = new TarIndex(file, size, signal)
    const entries = await reader.read()
    return new TarFiles(path, file, entries)
  } catch (error) {
    await file.close()
    throw error
  }
}

class TarIndex {
  readonly #file: FileHandle
  readonly #size: number
  readonly #signal: AbortSignal
  readonly #entries = new Map<string, Entry>()

  constructor(file: FileHandle, size: number, signal: AbortSignal) {
    this.#file = file
    this.#size = size
    this.#signal = signal
  }

  async read(): Promise<Map<string, Entry>> {
    await this.#refuseCompressed()
    let extra: Partial<TarHeader> = {}
    for (let at = 0; at < this.#size; ) {
      this.#signal.throwIfAborted()
      const where = `the block at byte ${at}`
      const header = parseHeader(await this.#take(at, blockBytes, where), where)
      if (header === undefined) return this.#entries
      const start = at + blockBytes
      if ('xgLK'.includes(header.type)) {
        if (header.size > maxExtraBytes)
          throw new ArchiveError(
            `${where} is followed by ${header.size} bytes of names; ${maxExtraBytes} are read`,
          )
        const body = await this.#take(start, header.size, where)
        // A global header says things such as a comment; what it says of files is overruled by each file's own.
        if (header.type !== 'g') extra = { ...extra, ...extraOf(header.type, body, where) }
        at = start + header.size + paddingOf(header.size)
        continue
      }
      const { name, size, target, type } = { ...header, ...extra }
      extra = {}
      this.#add(name, type, { start, size }, target)
      const length = type === '0' ? size : 0
      if (start + length > this.#size)
        throw new ArchiveError(`"${excerpt(name)}" is longer than what is left of the file`)
      at = start + length + paddingOf(length)
    }
    return this.#entries
  }

  #add(name: string, type: string, place: { start: number; size: number }, target: string): void {
    const path = checkName(name)
    if (type === '5') return
    if (type !== '0' && type !== '2') {
      const kind = type === '1' ? 'a hard link' : `of the kind "${excerpt(type)}"`
      throw new ArchiveError(
        `"${excerpt(name)}" is ${kind}; an image archive has files, folders and symbolic links`,
      )
    }
    if (this.#entries.has(path)) throw new ArchiveError(`"${excerpt(path)}" stands twice in the archive`)
    if (this.#entries.size >= maxEntries)
      throw new ArchiveError(`the archive has more than ${maxEntries} files`)
    this.#entries.set(path, type === '0' ? place : { target: targetPath(path, target) })
  }

  async #refuseCompressed(): Promise<void> {
    const start = await this.#take(0, Math.min(8, this.#size), 'the start')
    const found = compressions.find(([, magic]) => magic.every((byte, at) => start[at] === byte))
    if (found !== undefined)
      throw new ArchiveError(`the archive is compressed with ${found[0]}; decompress it first`)
  }

  async #take(at: number, length: number, where: string): Promise<Uint8Array> {
    const buffer = Buffer.alloc(length)
    const { bytesRead } = await this.#file.read(buffer, 0, length, at)
    if (bytesRead < length) throw new ArchiveError(`the archive ends in ${where}`)
    return buffer
  }
}

/** What a pax header, or a long name as GNU tar writes it, says of the file that follows. */
function extraOf(type: string, body: Uint8Array, where: string): Partial<TarHeader> {
  if (type !== 'x') {
    const text = Buffer.from(body).toString('utf8').replace(/\0+$/, '')
    return type === 'L' ? { name: text } : { target: text }
  }
  const pax = parsePax(body, where)
  if ([...pax.keys()].some((key) => key.startsWith('GNU.sparse.')))
    throw new ArchiveError(`${where} begins a sparse file, which no image archive has`)
  const [name, target, size] = [pax.get('path'), pax.get('linkpath'), pax.get('size')]
  if (size !== undefined && !(/^\d{1,16}$/.test(size) && Number.isSafeInteger(Number(size))))
    throw new ArchiveError(`${where} has a size that is none`)
  return {
    ...(name === undefined ? {} : { name }),
    ...(target === undefined ? {} : { target }),
    ...(size === undefined ? {} : { size: Number(size) }),
  }
}

/** Where a link leads, from the folder of its own. Out of the archive is nowhere: then it is refused when it is followed. */
function targetPath(path: string, target: string): string {
  const parts = path.split('/').slice(0, -1)
  for (const part of target.split('/')) {
    if (part === '..') {
      if (parts.pop() === undefined) return ''
    } else if (part !== '.' && part !== '') parts.push(part)
  }
  return target.startsWith('/') ? '' : parts.join('/')
}

class TarFiles implements ArchiveFiles {
  readonly name: string
  readonly #file: FileHandle
  readonly #entries: ReadonlyMap<string, Entry>

  constructor(name: string, file: FileHandle, entries: ReadonlyMap<string, Entry>) {
    this.name = name
    this.#file = file
    this.#entries = entries
  }

  async find(path: string): Promise<{ size: number } | undefined> {
    const place = this.#place(path)
    return place === undefined ? undefined : { size: place.size }
  }

  async *chunks(path: string, { signal }: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
    const place = this.#place(path)
    if (place === undefined) throw new ArchiveError(`${excerpt(path)} is not in ${this.name}`)
    const buffer = Buffer.alloc(Math.min(chunkBytes, place.size))
    for (let done = 0; done < place.size; ) {
      signal?.throwIfAborted()
      const length = Math.min(buffer.length, place.size - done)
      const { bytesRead } = await this.#file.read(buffer, 0, length, place.start + done)
      if (bytesRead === 0) throw new ArchiveError(`${this.name} has become shorter while it was read`)
      done += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
  }

  /** Follows one link, so that no ring of links is ever walked. */
  #place(path: string): { start: number; size: number } | undefined {
    const entry = this.#entries.get(path)
    if (entry === undefined || 'start' in entry) return entry
    const place = this.#entries.get(entry.target)
    if (place !== undefined && 'start' in place) return place
    throw new ArchiveError(
      `${excerpt(path)} is a link that leads out of the archive, nowhere, or to another link`,
    )
  }
}
