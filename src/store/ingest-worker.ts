/**
 * A thread that hashes and writes uploads, so that neither takes the main thread's time.
 * It writes synchronously on purpose: a disk that blocks then blocks this thread alone, and not the pool that serves reads.
 */
import { createHash, type Hash } from 'node:crypto'
import { fdatasync, fsyncSync, ftruncateSync, futimesSync, writevSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { checkBlocks } from './block-check.ts'
import { BlockSums } from './block-sums.ts'
import type { IngestRequest, IngestValue } from './ingest-protocol.ts'
import { answerCalls } from './worker-calls.ts'

/** Syncing as the bytes arrive leaves little to wait for at the end. */
const syncEveryBytes = 64 * 1024 * 1024
const readBytes = 1024 * 1024

interface OpenFile {
  handle: FileHandle
  algorithm: string
  hash: Hash
  sums: BlockSums
  /** Bytes hashed and written: the file is never left longer than that. */
  offset: number
  unsynced: number
  syncing: Promise<void>
  refusing: boolean
}

const files = new Map<number, OpenFile>()
const stopped = new Set<number>()

answerCalls(handle, (request: IngestRequest): IngestValue | undefined => {
  if (request.type !== 'stop') return undefined
  stopped.add(request.file)
  return { offset: 0 }
})

async function handle(request: IngestRequest): Promise<IngestValue> {
  if (request.type === 'open') return await openFile(request.file, request.path, request.algorithm)
  if (request.type === 'hash') return await hashFile(request.file, request.path, request.algorithm)
  if (request.type === 'check') return { offset: 0, right: await checkBlocks(request.check) }
  const file = files.get(request.file)
  if (file === undefined) throw new Error(`file ${request.file} is not open`)
  switch (request.type) {
    case 'write':
      await write(file, request.chunks)
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

async function openFile(number: number, path: string, algorithm: string): Promise<IngestValue> {
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
    // Frees the memory now; the collector of this thread would let hundreds of megabytes pile up first.
    if (chunk.buffer instanceof ArrayBuffer) chunk.buffer.transfer(0)
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
  algorithm: string,
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

async function hashFile(number: number, path: string, algorithm: string): Promise<IngestValue> {
  await using handle = await open(path, 'r')
  try {
    const { ino } = await handle.stat()
    const { hash, sums, offset } = await hashHandle(handle, algorithm, () => stopped.has(number))
    return { offset, hex: hash.digest('hex'), inode: ino, sums: sums.finish() }
  } finally {
    stopped.delete(number)
  }
}

/** Reads ahead of the hash. */
async function hashHandle(
  handle: FileHandle,
  algorithm: string,
  isStopped: () => boolean = () => false,
): Promise<{ hash: Hash; sums: BlockSums; offset: number }> {
  const hash = createHash(algorithm)
  const sums = new BlockSums()
  const { size } = await handle.stat()
  if (size === 0) return { hash, sums, offset: 0 }
  let [current, spare] = [
    new Uint8Array(Math.min(readBytes, size)),
    new Uint8Array(Math.min(readBytes, size)),
  ]
  let offset = 0
  let reading = handle.read(current, 0, current.length, 0)
  for (;;) {
    const { bytesRead } = await reading
    offset += bytesRead
    if (bytesRead === 0 || isStopped()) break
    reading = handle.read(spare, 0, spare.length, offset)
    hash.update(current.subarray(0, bytesRead))
    sums.update(current.subarray(0, bytesRead))
    ;[current, spare] = [spare, current]
  }
  current.buffer.transfer(0)
  spare.buffer.transfer(0)
  if (isStopped()) throw new Error('stopped')
  return { hash, sums, offset }
}
