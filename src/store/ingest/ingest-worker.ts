/**
 * A thread that hashes and writes uploads, so that neither takes the main thread's time.
 * It writes synchronously on purpose: a disk that blocks then blocks this thread alone, and not the pool that serves reads.
 */
import type { Hash } from 'node:crypto'
import { fdatasync, fsyncSync, ftruncateSync, futimesSync, read, writevSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { DigestAlgorithm } from '../../oci/oci.ts'
import type { BlockSums } from '../files/block-sums.ts'
import { FileHash } from '../files/file-hash.ts'
import { answerCalls } from '../threads/worker-calls.ts'
import type { IngestRequest, IngestValue } from './ingest-protocol.ts'
import { putWhole } from './whole-files.ts'

/** Syncing as the bytes arrive leaves little to wait for at the end. */
const syncEveryBytes = 64 * 1024 * 1024
/** What is read stays in the processor's cache until it is hashed and written. */
const copyBytes = 256 * 1024
const readFrom = promisify(read)

interface OpenFile {
  handle: FileHandle
  algorithm: DigestAlgorithm
  hash: Hash
  sums: BlockSums
  /** Bytes hashed and written: the file is never left longer than that. */
  offset: number
  unsynced: number
  syncing: Promise<void>
  refusing: boolean
}

const files = new Map<number, OpenFile>()
const hashing = new Map<number, { handle: FileHandle; inode: number; hash: FileHash }>()
const stopped = new Set<number>()

answerCalls(handle, {
  atOnce(request: IngestRequest): IngestValue | undefined {
    if (request.type !== 'stop') return undefined
    stopped.add(request.file)
    return { offset: 0 }
  },
})

async function handle(request: IngestRequest): Promise<IngestValue> {
  if (request.type === 'open') return await openFile(request.file, request.path, request.algorithm)
  if (request.type === 'hash')
    return await hashFile(request.file, request.path, request.algorithm, request.bytes)
  if (request.type === 'hash-on') return await hashOn(request.file, request.bytes)
  if (request.type === 'leave') return await leave(request.file)
  if (request.type === 'put') return { offset: 0, puts: await putWhole(request.files) }
  const file = files.get(request.file)
  if (file === undefined) throw new Error(`file ${request.file} is not open`)
  switch (request.type) {
    case 'write':
      await write(file, request.chunks)
      break
    case 'copy':
      await copy(file, request.from, request.bytes)
      break
    case 'resume':
      file.refusing = false
      break
    case 'finish':
      return await finish(request.file, file, request.algorithm, request.timeMs)
    case 'close':
      await close(request.file, file)
  }
  return { offset: file.offset }
}

async function openFile(number: number, path: string, algorithm: DigestAlgorithm): Promise<IngestValue> {
  const handle = await open(path, 'a+', 0o600)
  try {
    const { hash, sums, offset } = await hashHandle(handle, algorithm)
    const syncing = Promise.resolve()
    files.set(number, {
      handle,
      algorithm,
      hash,
      sums,
      offset,
      unsynced: offset,
      syncing,
      refusing: false,
    })
    return { offset }
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function write(file: OpenFile, chunks: Uint8Array[]): Promise<void> {
  await append(file, chunks)
  for (const chunk of chunks) free(chunk)
}

/** What comes next is read while this is hashed and written. */
async function copy(file: OpenFile, from: number, bytes: number): Promise<void> {
  const end = file.offset + bytes
  const room = Math.min(copyBytes, bytes)
  let [current, spare] = [new Uint8Array(room), new Uint8Array(room)]
  const readAt = async (buffer: Uint8Array, at: number): Promise<number> =>
    (await readFrom(from, buffer, 0, Math.min(buffer.length, end - at), at)).bytesRead
  let reading = readAt(current, file.offset)
  try {
    for (;;) {
      const bytesRead = await reading
      if (bytesRead === 0) return
      reading = readAt(spare, file.offset + bytesRead)
      await append(file, [current.subarray(0, bytesRead)])
      ;[current, spare] = [spare, current]
    }
  } finally {
    // Into memory that is about to go.
    await Promise.allSettled([reading])
    free(current)
    free(spare)
  }
}

/** Frees the memory now; the collector of this thread would let hundreds of megabytes pile up first. */
function free({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0)
}

async function append(file: OpenFile, chunks: Uint8Array[]): Promise<void> {
  if (file.refusing) throw new Error('an earlier write failed')
  try {
    writeAll(file.handle.fd, chunks)
  } catch (error) {
    file.refusing = true
    ftruncateSync(file.handle.fd, file.offset)
    throw error
  }
  for (const chunk of chunks) {
    file.hash.update(chunk)
    file.sums.update(chunk)
    file.offset += chunk.length
    file.unsynced += chunk.length
  }
  if (file.unsynced < syncEveryBytes) return
  file.unsynced = 0
  await file.syncing
  file.syncing = syncData(file.handle.fd)
  // Thrown when the next sync, or the end, waits for it.
  file.syncing.catch(() => undefined)
}

function writeAll(fd: number, chunks: Uint8Array[]): void {
  let rest = chunks
  while (rest.length > 0) {
    let written = writevSync(fd, rest)
    if (written === 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' })
    let whole = 0
    for (const chunk of rest) {
      if (written < chunk.length) break
      written -= chunk.length
      whole++
    }
    rest = rest.slice(whole)
    const [torn] = rest
    if (torn !== undefined && written > 0) rest[0] = torn.subarray(written)
  }
}

function syncData(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => (error === null ? resolve() : reject(error)))
  })
}

async function finish(
  number: number,
  file: OpenFile,
  algorithm: DigestAlgorithm,
  timeMs: number,
): Promise<IngestValue> {
  try {
    const hash = algorithm === file.algorithm ? file.hash : (await hashHandle(file.handle, algorithm)).hash
    await file.syncing
    futimesSync(file.handle.fd, timeMs / 1000, timeMs / 1000)
    fsyncSync(file.handle.fd)
    return { offset: file.offset, hex: hash.digest('hex'), sums: file.sums.finish() }
  } finally {
    await close(number, file)
  }
}

async function close(number: number, file: OpenFile): Promise<void> {
  files.delete(number)
  await Promise.allSettled([file.syncing])
  await file.handle.close()
}

async function hashFile(number: number, path: string, algorithm: DigestAlgorithm, bytes: number) {
  const handle = await open(path, 'r')
  try {
    const { ino } = await handle.stat()
    hashing.set(number, { handle, inode: ino, hash: new FileHash(handle, algorithm) })
  } catch (error) {
    await handle.close()
    throw error
  }
  return await hashOn(number, bytes)
}

async function hashOn(number: number, bytes: number): Promise<IngestValue> {
  const file = hashing.get(number)
  if (file === undefined) throw new Error(`file ${number} is not being hashed`)
  const { hash, inode } = file
  let isOver = true
  try {
    isOver = await hash.step(bytes, () => stopped.has(number))
    if (!isOver) return { offset: hash.offset }
    return { offset: hash.offset, hex: hash.hash.digest('hex'), inode, sums: hash.sums.finish() }
  } finally {
    if (isOver) await leave(number)
  }
}

async function leave(number: number): Promise<IngestValue> {
  const file = hashing.get(number)
  hashing.delete(number)
  stopped.delete(number)
  await file?.handle.close()
  return { offset: 0 }
}

async function hashHandle(handle: FileHandle, algorithm: DigestAlgorithm): Promise<FileHash> {
  const file = new FileHash(handle, algorithm)
  await file.step(Number.POSITIVE_INFINITY)
  return file
}
