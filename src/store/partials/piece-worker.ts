/**
 * A thread that proves the pieces of blobs on their way in, writes them in their places, and hashes the whole in order behind
 * them while nothing else is to do, so that the end of a download does not wait for a second reading of everything.
 */
import { createHash, type Hash } from 'node:crypto'
import { fsyncSync, futimesSync, readSync, writeSync } from 'node:fs'
import { constants, type FileHandle, open } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { BlockSums } from '../files/block-sums.ts'
import { answerCalls } from '../threads/worker-calls.ts'
import type { PieceRequest, PieceValue } from './piece-protocol.ts'

const readBytes = 1024 * 1024
const hashBytes = 32

interface PartialFile {
  handle: FileHandle
  size: number
  pieceBytes: number
  count: number
  /** Of all pieces; those before `known` are. */
  hashes: Uint8Array
  known: number
  held: Uint8Array
  /** Those of them that an earlier run proved, and that were not read since. */
  untouched: readonly number[]
  /** Of the whole, over the pieces before `hashed`. */
  whole: Hash
  sums: BlockSums
  hashed: number
  /** The whole is being hashed onward between one request and the next. */
  isCatchingUp: boolean
  /** Why that could not be: the whole is not to be had any more. */
  failure: { cause: unknown } | undefined
  isClosed: boolean
}

const files = new Map<number, PartialFile>()
/** What is hashed behind the pieces is read into it: new memory for each piece costs as much as hashing a third of it. */
const behind = new Uint8Array(readBytes)

answerCalls(handle, { givenBack: ({ memory = [] }) => memory })

async function handle(request: PieceRequest): Promise<PieceValue> {
  if (request.type === 'open') return await openFile(request)
  if (request.type === 'hash') return await hashPieces(request)
  const file = files.get(request.file)
  if (file === undefined) throw new Error(`file ${request.file} is not open`)
  if (request.type === 'write') {
    const right = write(file, request.piece, request.chunks)
    return { right, memory: memoryOf(request.chunks) }
  }
  if (request.type === 'take') {
    const digest = take(file, request.piece, request.chunks)
    return { hash: digest, memory: memoryOf(request.chunks) }
  }
  if (request.type === 'learn') {
    learn(file, request.from, request.hashes)
    return {}
  }
  files.delete(request.file)
  file.isClosed = true
  try {
    if (request.type === 'finish') return await finish(file, request)
    const proof = proofOf(file, heldOf(file))
    return proof === undefined ? {} : { hex: proof }
  } finally {
    await file.handle.close()
  }
}

async function openFile(request: Extract<PieceRequest, { type: 'open' }>): Promise<PieceValue> {
  const { size, pieceBytes, hashes, algorithm } = request
  const handle = await open(request.path, constants.O_RDWR | constants.O_CREAT, 0o600)
  try {
    // A file of another size is another plan's; what it holds proves itself piece by piece or not at all.
    await handle.truncate(size)
    const count = Math.ceil(size / pieceBytes)
    const held = new Uint8Array(count)
    const whole = createHash(algorithm)
    const room = new Uint8Array(count * hashBytes)
    const sums = new BlockSums()
    const file: PartialFile = {
      handle,
      size,
      pieceBytes,
      count,
      hashes: room,
      known: 0,
      held,
      untouched: [],
      whole,
      sums,
      hashed: 0,
      isCatchingUp: false,
      failure: undefined,
      isClosed: false,
    }
    learn(file, 0, hashes)
    const { untouched } = request
    if (untouched !== undefined && untouched.proof === proofOf(file, untouched.pieces)) {
      for (const piece of untouched.pieces) held[piece] = 1
      file.untouched = untouched.pieces
    }
    for (const piece of request.claimed) {
      if (held[piece] === 0 && piece < file.known && (await isRightOnDisk(file, piece))) held[piece] = 1
    }
    files.set(request.file, file)
    return { held: heldOf(file) }
  } catch (error) {
    await handle.close()
    throw error
  }
}

function write(file: PartialFile, piece: number, chunks: Uint8Array[]): boolean {
  if (file.held[piece] === 1) return true
  if (piece >= file.known || !isWhole(file, piece, chunks)) return false
  if (!hashChunks(chunks).equals(hashOf(file, piece))) return false
  put(file, piece, chunks)
  return true
}

function take(file: PartialFile, piece: number, chunks: Uint8Array[]): Uint8Array {
  if (piece !== file.known || !isWhole(file, piece, chunks)) {
    throw new RangeError(
      `piece ${piece} is not the first without a hash, or not whole; that is ${file.known}`,
    )
  }
  const digest = Uint8Array.from(hashChunks(chunks))
  put(file, piece, chunks)
  learn(file, piece, digest)
  return digest
}

function learn(file: PartialFile, from: number, hashes: Uint8Array): void {
  const end = from + hashes.length / hashBytes
  if (from > file.known || end > file.count) throw new RangeError(`hashes from piece ${from} on do not fit`)
  if (end <= file.known) return
  file.hashes.set(hashes.subarray((file.known - from) * hashBytes), file.known * hashBytes)
  file.known = end
}

function isWhole(file: PartialFile, piece: number, chunks: Uint8Array[]): boolean {
  const length = Math.min(file.pieceBytes, file.size - piece * file.pieceBytes)
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0) === length
}

function hashChunks(chunks: Uint8Array[]): Buffer {
  const digest = createHash('sha256')
  for (const chunk of chunks) digest.update(chunk)
  return digest.digest()
}

function put(file: PartialFile, piece: number, chunks: Uint8Array[]): void {
  let position = piece * file.pieceBytes
  for (const chunk of chunks) {
    writeAll(file.handle.fd, chunk, position)
    position += chunk.length
  }
  file.held[piece] = 1
  if (piece === file.hashed) {
    for (const chunk of chunks) addToWhole(file, chunk)
    file.hashed++
  }
  if (isBehind(file) && !file.isCatchingUp) void catchUp(file)
}

function memoryOf(chunks: Uint8Array[]): ArrayBuffer[] {
  return [...new Set(chunks.map(({ buffer }) => buffer))].filter((buffer) => buffer instanceof ArrayBuffer)
}

/** Pieces that came before their turn can be added to the whole now. */
function isBehind(file: PartialFile): boolean {
  return file.failure === undefined && file.hashed < file.count && file.held[file.hashed] === 1
}

/** A little after each of the requests that wait: whoever waits for a piece goes before who waits for all. */
async function catchUp(file: PartialFile): Promise<void> {
  file.isCatchingUp = true
  try {
    while (isBehind(file)) {
      await nextTurn()
      if (file.isClosed) return
      hashOnward(file)
    }
  } catch (cause) {
    file.failure = { cause }
  } finally {
    file.isCatchingUp = false
  }
}

/** Goes on with the whole over pieces that are here, as many as are read at once; a large one in parts. */
function hashOnward(file: PartialFile): void {
  let end = file.hashed
  const most = Math.max(1, Math.floor(readBytes / file.pieceBytes))
  while (end < file.count && end - file.hashed < most && file.held[end] === 1) end++
  const stop = Math.min(end * file.pieceBytes, file.size)
  for (let position = file.hashed * file.pieceBytes; position < stop; ) {
    const read = readSync(file.handle.fd, behind, 0, Math.min(behind.length, stop - position), position)
    if (read === 0) throw new Error(`the file ends at ${position}`)
    addToWhole(file, behind.subarray(0, read))
    position += read
  }
  file.hashed = end
}

function addToWhole({ whole, sums }: PartialFile, chunk: Uint8Array): void {
  whole.update(chunk)
  sums.update(chunk)
}

async function finish(
  file: PartialFile,
  { timeMs, expected }: Extract<PieceRequest, { type: 'finish' }>,
): Promise<PieceValue> {
  while (isBehind(file)) {
    hashOnward(file)
    await nextTurn()
  }
  if (file.failure !== undefined) throw file.failure.cause
  if (file.hashed < file.count) throw new Error(`piece ${file.hashed} is not here`)
  futimesSync(file.handle.fd, timeMs / 1000, timeMs / 1000)
  fsyncSync(file.handle.fd)
  const hex = file.whole.digest('hex')
  if (hex !== expected) {
    for (const piece of file.untouched) if (!(await isRightOnDisk(file, piece))) return { hex, right: false }
  }
  return { hex, sums: file.sums.finish() }
}

function heldOf({ held }: PartialFile): number[] {
  return [...held.keys()].filter((piece) => held[piece] === 1)
}

/** Pieces whose hashes are not known have none that could be the same. */
function proofOf(file: PartialFile, pieces: readonly number[]): string | undefined {
  const digest = createHash('sha256')
  for (const piece of pieces) {
    if (piece >= file.known) return undefined
    digest.update(`${piece} `).update(hashOf(file, piece))
  }
  return digest.digest('hex')
}

async function isRightOnDisk(file: PartialFile, piece: number): Promise<boolean> {
  const digest = createHash('sha256')
  for await (const chunk of readPiece(file, piece)) digest.update(chunk)
  return digest.digest().equals(hashOf(file, piece))
}

async function* readPiece(file: PartialFile, piece: number): AsyncGenerator<Uint8Array> {
  const start = piece * file.pieceBytes
  const end = Math.min(start + file.pieceBytes, file.size)
  const buffer = new Uint8Array(Math.min(readBytes, end - start))
  for (let position = start; position < end; ) {
    const wanted = Math.min(buffer.length, end - position)
    const { bytesRead } = await file.handle.read(buffer, 0, wanted, position)
    if (bytesRead === 0) throw new Error(`the file ends at ${position}`)
    yield buffer.subarray(0, bytesRead)
    position += bytesRead
  }
}

/** What comes next is read while this is hashed. */
async function hashPieces(part: Extract<PieceRequest, { type: 'hash' }>): Promise<PieceValue> {
  const { start, end, pieceBytes } = part
  await using handle = await open(part.path, 'r')
  const hashes = new Uint8Array(Math.ceil((end - start) / pieceBytes) * hashBytes)
  const sums = new BlockSums()
  const room = Math.min(readBytes, pieceBytes, end - start)
  let [current, spare] = [new Uint8Array(room), new Uint8Array(room)]
  // To the end of its piece at most.
  const readAt = async (buffer: Uint8Array, at: number): Promise<number> => {
    const wanted = Math.min(buffer.length, end - at, pieceBytes - ((at - start) % pieceBytes))
    if (wanted === 0) return 0
    const { bytesRead } = await handle.read(buffer, 0, wanted, at)
    if (bytesRead === 0) throw new Error(`the file ends at ${at}`)
    return bytesRead
  }
  let digest = createHash('sha256')
  let reading = readAt(current, start)
  try {
    for (let position = start; position < end; ) {
      const bytes = current.subarray(0, await reading)
      position += bytes.length
      reading = readAt(spare, position)
      digest.update(bytes)
      sums.update(bytes)
      const filled = (position - start) % pieceBytes
      if (filled === 0 || position === end) {
        hashes.set(digest.digest(), (Math.ceil((position - start) / pieceBytes) - 1) * hashBytes)
        digest = createHash('sha256')
      }
      ;[current, spare] = [spare, current]
    }
    return { hashes, sums: sums.finish() }
  } finally {
    // Into memory that is about to go.
    await Promise.allSettled([reading])
    current.buffer.transfer(0)
    spare.buffer.transfer(0)
  }
}

function hashOf({ hashes }: PartialFile, piece: number): Uint8Array {
  return hashes.subarray(piece * hashBytes, (piece + 1) * hashBytes)
}

function writeAll(fd: number, chunk: Uint8Array, position: number): void {
  for (let offset = 0; offset < chunk.length; ) {
    const written = writeSync(fd, chunk, offset, chunk.length - offset, position + offset)
    if (written === 0) throw Object.assign(new Error('nothing was written'), { code: 'ENOSPC' })
    offset += written
  }
}
