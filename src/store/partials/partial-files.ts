/** Partial blobs as files under `partials/`, with a row each that says which pieces an earlier run had verified. */
import { stat } from 'node:fs/promises'
import { isMarkedAsUntransferable } from 'node:worker_threads'
import { algorithmOf, type Digest, hexOf, OciError } from '../../oci/oci.ts'
import type { SumTable } from '../blobs/sum-table.ts'
import type { ClosedPartial, PartialRow } from '../database/database.ts'
import { BlobRottenError } from '../errors.ts'
import type { BlobFiles } from '../files/blob-files.ts'
import { DiskLots } from '../files/disk-lots.ts'
import { asStoreError, type DiskSpace } from '../files/disk-space.ts'
import type { ReadBuffers } from '../files/read-buffers.ts'
import { SharedFile } from '../files/shared-file.ts'
import type { TableContext } from '../links/link-table.ts'
import { FreshPieces } from './fresh-pieces.ts'
import type { PartialBlob, PartialPlan, Partials } from './partial.ts'
import type { PiecePool, PieceThread } from './piece-pool.ts'
import type { PieceValue } from './piece-protocol.ts'

export interface PartialFilesOptions {
  context: TableContext
  files: BlobFiles
  pool: PiecePool
  space: DiskSpace
  buffers: ReadBuffers
  sums: SumTable
  freshBytes?: number | undefined
  /** Of this run of the host; `undefined` where that cannot be told. */
  boot: string | undefined
}

/** How often the row is written while pieces arrive: what it does not say yet is fetched again after a crash. */
const saveEveryMs = 1_000

export class PartialFiles implements Partials {
  readonly #options: PartialFilesOptions
  readonly #open = new Set<Digest>()

  constructor(options: PartialFilesOptions) {
    this.#options = options
  }

  async open(plan: PartialPlan): Promise<PartialBlob> {
    const { digest, size, pieceBytes, hashes } = plan
    if (this.#open.has(digest)) throw new Error(`${digest} is being fetched already`)
    this.#open.add(digest)
    try {
      const { files, pool, space, context } = this.#options
      const row = await context.tables.partials.get(digest)
      const noted = row?.size === size && row.pieceBytes === pieceBytes ? row.held : []
      const claimed = [...new Set([...noted, ...(plan.claimed ?? [])])]
      const rest = Math.max(0, size - claimed.length * pieceBytes)
      // Asked for all of it once, so that a blob that cannot fit fails before its first byte.
      await space.take(rest)
      space.giveBack(rest)
      const thread = pool.enter()
      try {
        const file = pool.nextFile()
        const path = files.partialPath(digest)
        const algorithm = algorithmOf(digest)
        const untouched = noted.length > 0 ? await this.#untouched(path, row) : undefined
        const asked = {
          ...({ type: 'open', file, path, size, pieceBytes, hashes, algorithm, claimed } as const),
          ...(untouched && { untouched }),
        }
        const { held = [] } = await thread.call(asked)
        const onClosed = (): void => {
          this.#open.delete(digest)
          pool.leave()
        }
        return new PartialFile({ ...this.#options, plan, thread, file, held, onClosed })
      } catch (error) {
        pool.leave()
        throw error
      }
    } catch (error) {
      this.#open.delete(digest)
      throw asStoreError(error)
    }
  }

  /** What an earlier run proved of a file that nobody has written to since it was closed. */
  async #untouched(
    path: string,
    row: PartialRow | undefined,
  ): Promise<{ pieces: number[]; proof: string } | undefined> {
    if (row?.closed === undefined) return undefined
    const now = await stateOf(path, this.#options.boot)
    const { boot, inode, mtimeNs, proof } = row.closed
    const isSame = now?.boot === boot && now.inode === inode && now.mtimeNs === mtimeNs
    return isSame ? { pieces: row.held, proof } : undefined
  }

  async list(): Promise<{ digest: Digest; size: number; idleMs: number }[]> {
    const { tables, leases } = this.#options.context
    const rows = await tables.partials.iterator().all()
    const nowMs = leases.now()
    return rows.map(([digest, { size, writtenMs }]) => {
      return { digest: digest as Digest, size, idleMs: nowMs - writtenMs }
    })
  }

  async drop(digest: Digest): Promise<boolean> {
    if (this.#open.has(digest)) return false
    return await dropPartial(this.#options, digest)
  }
}

/** The row last: a row without its file only costs a look, a file without its row would never be found. */
async function dropPartial({ context, files }: PartialFilesOptions, digest: Digest): Promise<boolean> {
  const { partials } = context.tables
  const found = (await partials.get(digest)) !== undefined
  await files.removePartial(digest)
  await partials.del(digest)
  return found
}

interface PartialFileOptions extends PartialFilesOptions {
  plan: PartialPlan
  thread: PieceThread
  file: number
  held: number[]
  onClosed(): void
}

class PartialFile implements PartialBlob {
  readonly plan: PartialPlan
  readonly #options: PartialFileOptions
  readonly #held: Set<number>
  readonly #fresh: FreshPieces
  readonly #reading: SharedFile
  readonly #lots: DiskLots
  #savedMs = 0
  #closed = false

  constructor(options: PartialFileOptions) {
    this.plan = options.plan
    this.#options = options
    this.#held = new Set(options.held)
    this.#fresh = new FreshPieces(options.plan.pieceBytes, { mostBytes: options.freshBytes })
    this.#lots = new DiskLots(options.space)
    this.#reading = new SharedFile(options.files.partialPath(options.plan.digest), options.buffers)
  }

  get held(): number {
    return this.#held.size
  }

  has(piece: number): boolean {
    return this.#held.has(piece)
  }

  async write(piece: number, chunks: Uint8Array[], free?: (memory: ArrayBuffer) => void): Promise<boolean> {
    if (this.#held.has(piece)) return true
    const { right = false } = await this.#hand('write', piece, chunks, free)
    if (!right) return false
    await this.#wrote(piece)
    return true
  }

  async take(piece: number, chunks: Uint8Array[]): Promise<Uint8Array> {
    const { hash } = await this.#hand('take', piece, chunks)
    if (hash === undefined) throw new Error('the piece thread gave no hash')
    await this.#wrote(piece)
    return hash
  }

  async learn(from: number, hashes: Uint8Array): Promise<void> {
    const { thread, file } = this.#options
    await thread.call({ type: 'learn', file, from, hashes: Uint8Array.from(hashes) })
  }

  async #hand(
    type: 'write' | 'take',
    piece: number,
    chunks: Uint8Array[],
    free: (memory: ArrayBuffer) => void = letGo,
  ): Promise<PieceValue> {
    const { thread, file } = this.#options
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    const { size, pieceBytes } = this.plan
    await this.#lots.take(bytes, size - this.#held.size * pieceBytes)
    try {
      const owned = chunks.map(ownMemory)
      const buffers = [...new Set(owned.map(({ buffer }) => buffer))]
      const value = await thread.call({ type, file, piece, chunks: owned }, buffers)
      for (const memory of value.memory ?? []) free(memory)
      return value
    } catch (error) {
      throw asStoreError(error)
    } finally {
      this.#lots.settle(bytes)
    }
  }

  async *chunks(start: number, end: number, options?: { signal?: AbortSignal }): AsyncGenerator<Uint8Array> {
    const { pieceBytes, digest } = this.plan
    const last = Math.ceil(end / pieceBytes)
    for (let piece = Math.floor(start / pieceBytes); piece < last; piece++) {
      if (!this.#held.has(piece)) throw new RangeError(`piece ${piece} of ${digest} is not here yet`)
    }
    yield* this.#reading.chunks(start, end, {
      ...options,
      isInMemory: (from, to) => this.#fresh.has(from, to),
      onTook: (ms) => this.#fresh.took(ms),
    })
  }

  async finish(): Promise<void> {
    const { context, files, thread, file } = this.#options
    const { digest } = this.plan
    this.#closed = true
    try {
      await context.claims.write([digest], async () => {
        const timeMs = context.leases.now()
        const expected = hexOf(digest)
        const asked = { type: 'finish', file, timeMs, expected } as const
        const { hex, right, sums = new Uint8Array() } = await thread.call(asked)
        if (hex !== expected) {
          await this.#save()
          if (right === false)
            throw new BlobRottenError(`what was kept of ${digest} rotted; it is read again next time`)
          throw new OciError(
            'DIGEST_INVALID',
            `every piece matched, and the whole hashes to ${hex}, not to ${digest}`,
          )
        }
        await this.#options.sums.put(digest, { size: this.plan.size, sums })
        await files.publishFile(files.partialPath(digest), digest)
      })
      await context.tables.partials.del(digest)
    } catch (error) {
      throw asStoreError(error)
    } finally {
      await this.#over()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    try {
      await this.#save()
      if (!this.#options.thread.isLost) {
        const { hex } = await this.#options.thread.call({ type: 'close', file: this.#options.file })
        const state = await stateOf(this.#options.files.partialPath(this.plan.digest), this.#options.boot)
        if (hex !== undefined && state !== undefined) await this.#save({ ...state, proof: hex })
      }
    } finally {
      await this.#over()
    }
  }

  async #over(): Promise<void> {
    this.#options.onClosed()
    this.#lots.end()
    await this.#reading.close()
  }

  async #wrote(piece: number): Promise<void> {
    this.#held.add(piece)
    this.#fresh.add(piece)
    const now = this.#options.context.leases.now()
    if (Math.abs(now - this.#savedMs) < saveEveryMs) return
    this.#savedMs = now
    await this.#save()
  }

  /** Not synced: after a power cut, or a crash, the pieces that a row names are hashed again before they count. */
  async #save(closed?: ClosedPartial): Promise<void> {
    const { size, pieceBytes, digest } = this.plan
    const row: PartialRow = {
      size,
      pieceBytes,
      held: [...this.#held].sort((a, b) => a - b),
      writtenMs: this.#options.context.leases.now(),
      ...(closed && { closed }),
    }
    await this.#options.context.tables.partials.put(digest, row)
  }
}

async function stateOf(
  path: string,
  boot: string | undefined,
): Promise<Omit<ClosedPartial, 'proof'> | undefined> {
  if (boot === undefined) return undefined
  try {
    const { ino, mtimeNs } = await stat(path, { bigint: true })
    return { boot, inode: `${ino}`, mtimeNs: `${mtimeNs}` }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Now: the collector would let it pile up first. */
function letGo(memory: ArrayBuffer): void {
  memory.transfer(0)
}

/** A chunk whose memory may be handed to the thread: itself, or a copy where others use that memory too. */
function ownMemory(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = chunk
  if (buffer instanceof ArrayBuffer && !isMarkedAsUntransferable(buffer))
    return chunk as Uint8Array<ArrayBuffer>
  return Uint8Array.from(chunk)
}
