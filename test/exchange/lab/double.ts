/** A seeder that speaks the protocol and answers as it is told to: honest where nothing else is said. */

import { packLists } from '../../../src/exchange/protocol/list-pack.ts'
import { type Ask, decodeFrame, encodeMessage, isAsk } from '../../../src/exchange/protocol/messages.ts'
import { signPieceList } from '../../../src/exchange/protocol/piece-list.ts'
import { layoutOf, pieceRange } from '../../../src/exchange/protocol/piece-size.ts'
import { encodeData, listFrames, maxChunkBytes } from '../../../src/exchange/protocol/raw-frames.ts'
import type { Digest } from '../../../src/oci/oci.ts'
import type { BatchChannel, Identity } from '../../../src/wire/wire.ts'
import { digestOf, pieceHashes } from './fixture.ts'
import type { Mesh } from './mesh.ts'

export interface DoubleContext {
  channel: BatchChannel
  /** Where a test counts what it was asked. */
  asked: Ask[]
  signal: AbortSignal
}

export interface DoubleOptions {
  mesh: Pick<Mesh, 'handle' | 'join'>
  identity: Identity
  /** What it serves, which need not be what `digest` names. */
  bytes: Uint8Array
  digest?: Digest
  /** Hashes of its list; default those of `bytes`. */
  hashes?: Uint8Array
  onWant?(id: number, context: DoubleContext): Promise<void>
  onList?(id: number, context: DoubleContext): Promise<void>
  onPiece?(id: number, piece: number, context: DoubleContext): Promise<void>
}

export interface Double {
  peer: string
  asked: Ask[]
}

/** Joins the mesh as a member. */
export function double(options: DoubleOptions): Double {
  const { mesh, identity, bytes, digest = digestOf(bytes), hashes = pieceHashes(bytes) } = options
  const asked: Ask[] = []
  const list = signPieceList({ digest, size: bytes.length, hashes }, identity)
  const layout = layoutOf(bytes.length)

  const answer = async (ask: Ask, context: DoubleContext): Promise<void> => {
    const { channel } = context
    if (ask.type === 'want') {
      if (ask.digest !== digest) await channel.send(encodeMessage({ type: 'absent', id: ask.id }))
      else if (options.onWant !== undefined) await options.onWant(ask.id, context)
      else await channel.send(encodeMessage({ type: 'complete', id: ask.id, size: bytes.length }))
    } else if (ask.type === 'ask-list') {
      if (options.onList !== undefined) await options.onList(ask.id, context)
      else for (const frame of listFrames(ask.id, packLists([list]))) await channel.send(frame)
    } else if (ask.type === 'request') {
      for (const piece of ask.pieces) {
        if (options.onPiece !== undefined) await options.onPiece(ask.id, piece, context)
        else await sendPiece(channel, ask.id, piece, bytes.subarray(...range(piece)))
      }
    }
  }
  const range = (piece: number): [number, number] => {
    const { start, end } = pieceRange(layout, piece)
    return [start, end]
  }

  mesh.handle(identity.peerId, async (channel, _peer, { signal }) => {
    const context = { channel, asked, signal }
    for (;;) {
      const frame = await channel.receive({ signal })
      if (frame === undefined) return
      const ask = decodeFrame(frame)
      if (isAsk(ask)) {
        asked.push(ask)
        await answer(ask, context)
      } else if (ask.type === 'direct') await channel.send(encodeMessage({ type: 'no-direct' }))
    }
  })
  mesh.join(identity.peerId)
  return { peer: identity.peerId, asked }
}

/** `bytes` as the piece. */
export async function sendPiece(
  channel: BatchChannel,
  id: number,
  piece: number,
  bytes: Uint8Array,
): Promise<void> {
  for (let offset = 0; offset < bytes.length; offset += maxChunkBytes) {
    const part = bytes.subarray(offset, offset + maxChunkBytes)
    await channel.send(encodeData({ id, piece, offset, bytes: part }))
  }
}
