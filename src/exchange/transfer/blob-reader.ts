/**
 * A blob to read while it is on its way: what is verified already, then each piece as it comes, and the last one once all is proven,
 * or, for who reads ranges that are less than all, once somebody vouches for it who says that it has proven all. It can tell where
 * what was read came from, and how long it waited for what.
 */
import { type Clock, fromUpstream, type Provenance, unlessAborted } from '../../base/base.ts'
import type { Blobs, OpenBlob } from '../../store/store.ts'
import { BlobUnavailableError, BlobUnprovenError } from '../errors.ts'
import { type Layout, pieceAt, pieceRange } from '../protocol/piece-size.ts'
import type { Follower, TransferState } from './transfer-state.ts'

export interface BlobReaderOptions {
  state: TransferState
  layout: Layout
  blobs: Pick<Blobs, 'open'>
  /** What is read is less than all of it. */
  isPart: boolean
  /** When it was asked for, when somebody was found who holds it, and when it could be read. */
  begun: { askedMs: number; foundMs: number; readyMs: number }
  clock: Clock
  /** The reader needs the transfer no more. */
  release(): void
}

export function blobReader(options: BlobReaderOptions): OpenBlob {
  const { state, layout, release } = options
  const closing = new AbortController()
  const origins = { local: 0, upstream: 0, peers: new Map<string, number>() }

  const count = (bytes: number, giver: string | undefined): void => {
    if (giver === undefined) origins.local += bytes
    else if (giver === fromUpstream) origins.upstream += bytes
    else origins.peers.set(giver, (origins.peers.get(giver) ?? 0) + bytes)
  }

  /** A chunk may be of several pieces. */
  const countRange = (start: number, end: number): void => {
    for (let at = start; at < end; ) {
      const piece = pieceAt(layout, at)
      const next = Math.min(end, pieceRange(layout, piece).end)
      count(next - at, state.giverOf(piece))
      at = next
    }
  }

  return {
    size: layout.size,
    async *chunks(start, end, { signal } = {}) {
      const either = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal])
      const follower = state.follow(pieceAt(layout, start))
      let position = start
      try {
        const range = { start, end: Math.min(end, layout.size), signal: either }
        for await (const chunk of read(options, follower, range)) {
          countRange(position, position + chunk.length)
          position += chunk.length
          yield chunk
        }
      } finally {
        state.unfollow(follower)
      }
    },
    provenance: () => ({ origins, stages: stagesOf(options) }),
    async [Symbol.asyncDispose]() {
      closing.abort(new BlobUnavailableError(state.digest, 'its reader was closed'))
      release()
    },
  }
}

function stagesOf({ state: { proof }, begun, clock }: BlobReaderOptions): Provenance['stages'] {
  const { askedMs, foundMs, readyMs } = begun
  const overMs = Math.max(readyMs, proof?.startMs ?? clock.now())
  return [
    { stage: 'find', startMs: askedMs, endMs: foundMs },
    { stage: 'list', startMs: foundMs, endMs: readyMs },
    { stage: 'transfer', startMs: readyMs, endMs: overMs },
    ...(proof === undefined ? [] : [{ stage: 'disk' as const, ...proof }]),
  ]
}

interface Range {
  start: number
  end: number
  signal: AbortSignal
}

async function* read(
  options: BlobReaderOptions,
  follower: Follower,
  { start, end, signal }: Range,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { state, layout, blobs } = options
  for (let position = start; position < end; ) {
    signal.throwIfAborted()
    if (follower.failure !== undefined) throw follower.failure
    const { now } = state
    if (now.name === 'failed') throw now.error
    if (now.name === 'proven') {
      await using blob = await blobs.open(state.digest)
      if (blob === undefined) throw new BlobUnavailableError(state.digest, 'it was removed')
      check(options, blob.size)
      yield* blob.chunks(position, end, { signal })
      return
    }
    move(state, follower, pieceAt(layout, position))
    const { partial, candidate } = now.name === 'searching' ? {} : now.attempt
    const isVouched = options.isPart && candidate !== undefined && candidate.vouchers.size > 0
    const last = isVouched ? layout.count : layout.count - 1
    const readable = partial && readableTo(partial, layout, { position, end, last })
    if (partial === undefined || readable === undefined || readable === position) {
      await unlessAborted(state.woken(follower), signal)
      continue
    }
    try {
      check(options, partial.plan.size)
      for await (const chunk of partial.chunks(position, readable, { signal })) {
        if (follower.failure !== undefined) throw follower.failure
        position += chunk.length
        move(state, follower, pieceAt(layout, Math.min(position, layout.size - 1)))
        yield chunk
      }
    } catch (error) {
      if (error instanceof BlobUnprovenError) throw error
      // The part is closed when it becomes a blob, or when another list is believed: then there is another way on.
      while (state.now.name === 'proving') await unlessAborted(state.woken(follower), signal)
      if (state.now === now && follower.failure === undefined) throw error
    }
  }
}

/** Throws BlobUnprovenError when what is here has another size than its reader was told. */
function check({ state, layout }: BlobReaderOptions, size: number): void {
  if (size !== layout.size) throw new BlobUnprovenError(state.digest)
}

/** The end of the verified pieces from `position` on, before the piece `last`, which waits until the whole is proven. */
function readableTo(
  partial: { has(piece: number): boolean },
  layout: Layout,
  { position, end, last }: { position: number; end: number; last: number },
): number {
  let piece = pieceAt(layout, position)
  if (piece >= last || !partial.has(piece)) return position
  while (piece + 1 < last && pieceRange(layout, piece).end < end && partial.has(piece + 1)) piece++
  return Math.min(end, pieceRange(layout, piece).end)
}

function move(state: TransferState, follower: Follower, piece: number): void {
  if (follower.piece === piece) return
  follower.piece = piece
  state.followed()
}
