/** A reader of a blob on its way that can tell where what it read came from, and how long it waited for what. */
import { type Clock, fromUpstream, type Provenance } from '../../base/base.ts'
import type { OpenBlob } from '../../store/store.ts'
import { type Layout, pieceAt, pieceRange } from '../protocol/piece-size.ts'
import type { TransferState } from './transfer-state.ts'

export interface ProvenanceReaderOptions {
  state: Pick<TransferState, 'giverOf' | 'proof'>
  layout: Layout
  /** When it was asked for, when somebody was found who holds it, and when it could be read. */
  begun: { askedMs: number; foundMs: number; readyMs: number }
  clock: Clock
}

export function provenanceReader(reader: OpenBlob, options: ProvenanceReaderOptions): OpenBlob {
  const { state, layout, begun, clock } = options
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

  const stages = (): Provenance['stages'] => {
    const { askedMs, foundMs, readyMs } = begun
    const { proof } = state
    const list: { stage: 'find' | 'list' | 'transfer' | 'disk'; startMs: number; endMs: number }[] = [
      { stage: 'find', startMs: askedMs, endMs: foundMs },
      { stage: 'list', startMs: foundMs, endMs: readyMs },
      { stage: 'transfer', startMs: readyMs, endMs: Math.max(readyMs, proof?.startMs ?? clock.now()) },
    ]
    if (proof !== undefined) list.push({ stage: 'disk', ...proof })
    return list
  }

  return {
    size: reader.size,
    async *chunks(start, end, chunkOptions) {
      let position = start
      for await (const chunk of reader.chunks(start, end, chunkOptions)) {
        countRange(position, position + chunk.length)
        position += chunk.length
        yield chunk
      }
    },
    provenance: () => ({ origins, stages: stages() }),
    [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
  }
}
