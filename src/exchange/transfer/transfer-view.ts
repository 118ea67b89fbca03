/** What a transfer shows of itself: which pieces are here, and what each peer holds, sends, or keeps it waiting for. */
import type { Digest, Repository } from '../../oci/oci.ts'
import type { ExchangeStatus } from '../contract.ts'
import type { Source } from './source.ts'
import type { TransferState } from './transfer-state.ts'

export interface TransferView {
  digest: Digest
  /** On whose behalf it comes. */
  repositories: Repository[]
  /** Absent until a piece list was found, as is `pieceBytes`. */
  size?: number
  pieceBytes?: number
  pieces: number
  held: number
  /** One bit for each piece, the first in the highest bit of the first byte. A copy. */
  bitfield: Uint8Array
  /** Everything is here, and the whole is being hashed. */
  proving: boolean
  /** At most 64, in the order in which they were asked. */
  peers: TransferPeer[]
}

export interface TransferPeer {
  peer: string
  /** `asked` until it says what it holds; `absent` when that is nothing; `silent` and `busy` hold some and send none now. */
  state: 'asked' | 'absent' | 'ready' | 'silent' | 'busy'
  /** How many pieces it holds. */
  held: number
  /** Pieces asked of it that have not come yet. */
  waiting: number
  /** Of this blob, from this peer. */
  receivedBytes: number
}

/** The part of it that costs nothing. */
export function progressOf({ digest, layout, attempt }: TransferState): ExchangeStatus['transfers'][number] {
  return {
    digest,
    ...(layout && { size: layout.size }),
    pieces: layout?.count ?? 0,
    held: attempt?.held.held ?? 0,
    peers: attempt?.peers ?? 0,
  }
}

export function viewOf(state: TransferState, sources: Iterable<Source>): TransferView {
  const { attempt, layout, now, repositories } = state
  return {
    ...progressOf(state),
    repositories: [...repositories],
    ...(layout && { pieceBytes: layout.pieceBytes }),
    bitfield: attempt?.held.toBytes() ?? new Uint8Array(Math.ceil((layout?.count ?? 0) / 8)),
    proving: now.name === 'proving',
    peers: Array.from(sources, (source) => ({
      peer: source.peer,
      state: stateOf(source, attempt?.delayOf(source)),
      held: source.holds?.held.held ?? 0,
      waiting: source.want.waiting,
      receivedBytes: source.receivedBytes,
    })),
  }
}

function stateOf({ answered, holds }: Source, delay: 'silent' | 'busy' | undefined): TransferPeer['state'] {
  if (holds === undefined) return answered ? 'absent' : 'asked'
  return delay ?? 'ready'
}
