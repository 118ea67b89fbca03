/** Partial blobs in memory, with the promises of the real ones and a disk that can be made full. */
import { createHash } from 'node:crypto'
import { isMarkedAsUntransferable } from 'node:worker_threads'
import { type Digest, OciError } from '../../../src/oci/oci.ts'
import type { PartialBlob, PartialPlan, Partials } from '../../../src/store/partials/partial.ts'
import { type Blobs, StoreFullError } from '../../../src/store/store.ts'

interface Part {
  plan: PartialPlan
  /** As far as they are known. */
  hashes: Uint8Array
  bytes: Uint8Array
  held: Set<number>
}

export class MemoryPartials implements Partials {
  readonly #blobs: Blobs
  readonly #parts = new Map<Digest, Part>()
  readonly #open = new Set<Digest>()
  /** Pieces that still fit on the disk. */
  room = Number.POSITIVE_INFINITY
  /** Bytes that a part may be long. */
  capacity = Number.POSITIVE_INFINITY

  constructor(blobs: Blobs) {
    this.#blobs = blobs
  }

  async open(plan: PartialPlan): Promise<PartialBlob> {
    if (this.#open.has(plan.digest)) throw new Error(`${plan.digest} is open already`)
    if (plan.size > this.capacity) throw new StoreFullError('the disk has no room for all of it')
    this.#open.add(plan.digest)
    const before = this.#parts.get(plan.digest)
    const fits = before?.plan.size === plan.size
    const bytes = fits ? before.bytes : new Uint8Array(Math.min(plan.size, 2 ** 26))
    const part: Part = { plan, hashes: plan.hashes, bytes, held: new Set() }
    if (fits) for (const piece of before.held) if (isRight(part, piece)) part.held.add(piece)
    this.#parts.set(plan.digest, part)
    return this.#handle(part)
  }

  async list(): Promise<{ digest: Digest; size: number; idleMs: number }[]> {
    return [...this.#parts.values()].map(({ plan: { digest, size } }) => ({ digest, size, idleMs: 0 }))
  }

  async drop(digest: Digest): Promise<boolean> {
    return this.#parts.delete(digest)
  }

  #put(part: Part, piece: number, bytes: Uint8Array): void {
    if (this.room <= 0) throw new StoreFullError('the disk is full')
    this.room--
    part.bytes.set(bytes, piece * part.plan.pieceBytes)
    part.held.add(piece)
  }

  #handle(part: Part): PartialBlob {
    const { plan, held } = part
    const open = this.#open
    let closed = false
    const close = (): void => {
      closed = true
      open.delete(plan.digest)
    }
    return {
      plan,
      has: (piece) => held.has(piece),
      get held() {
        return held.size
      },
      write: async (piece, chunks) => {
        if (held.has(piece)) return true
        const bytes = takeOver(chunks)
        if (!hashOf(bytes).equals(hashIn(part, piece))) return false
        this.#put(part, piece, bytes)
        await saved()
        return true
      },
      take: async (piece, chunks) => {
        if (piece !== part.hashes.length / 32)
          throw new RangeError(`piece ${piece} has a hash, or comes too soon`)
        const bytes = takeOver(chunks)
        this.#put(part, piece, bytes)
        const hash = Uint8Array.from(hashOf(bytes))
        part.hashes = Buffer.concat([part.hashes, hash])
        await saved()
        return hash
      },
      learn: async (from, hashes) => {
        const news = part.hashes.length - from * 32
        if (news < 0) throw new RangeError('hashes that do not follow')
        if (news < hashes.length) part.hashes = Buffer.concat([part.hashes, hashes.subarray(news)])
      },
      chunks: async function* (start, end, { signal } = {}) {
        const last = Math.ceil(end / plan.pieceBytes) - 1
        for (let piece = Math.floor(start / plan.pieceBytes); piece <= last; piece++) {
          if (!held.has(piece)) throw new RangeError(`piece ${piece} is not here`)
        }
        const buffer = new Uint8Array(64 * 1024)
        for (let at = start; at < end; at += buffer.length) {
          signal?.throwIfAborted()
          if (closed) throw new Error('the part is closed')
          const chunk = part.bytes.subarray(at, Math.min(end, at + buffer.length))
          buffer.set(chunk)
          yield buffer.subarray(0, chunk.length)
        }
      },
      finish: async () => {
        this.#parts.delete(plan.digest)
        try {
          await this.#blobs.write(plan.digest, once(part.bytes))
        } catch (error) {
          if (error instanceof OciError) throw error
          throw new Error('the blob could not be finished', { cause: error })
        } finally {
          close()
        }
      },
      [Symbol.asyncDispose]: async () => close(),
    }
  }
}

/** As if it went to another thread: whoever looks at it afterwards finds nothing. */
function takeOver(chunks: Uint8Array[]): Uint8Array {
  const bytes = Buffer.concat(chunks)
  for (const { buffer } of chunks) {
    if (buffer instanceof ArrayBuffer && !isMarkedAsUntransferable(buffer)) buffer.transfer()
  }
  return bytes
}

/** A piece can be read before whoever writes it hears of that. */
function saved(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}

function isRight(part: Part, piece: number): boolean {
  const { plan, bytes } = part
  const start = piece * plan.pieceBytes
  return hashOf(bytes.subarray(start, start + plan.pieceBytes)).equals(hashIn(part, piece))
}

function hashOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

function hashIn({ hashes }: Part, piece: number): Uint8Array {
  return hashes.subarray(piece * 32, piece * 32 + 32)
}
