/** What someone wants of a blob on its way: all of it, or ranges, and which pieces these lie in. */
import type { RangesOf } from '../../oci/oci.ts'
import type { WantedPieces } from '../picker/download-events.ts'
import { type Layout, pieceAt } from '../protocol/piece-size.ts'

/** Known by itself: two that want the same are two. */
export interface Interest {
  /** Absent where it is all. */
  readonly ranges?: RangesOf | undefined
}

export function wantedPieces({ ranges }: Interest, layout: Layout): WantedPieces {
  const wanted = ranges?.(layout.size)
  if (wanted === undefined) return 'all'
  const bytes = wanted.reduce((sum, { start, end }) => sum + end - start, 0)
  if (bytes >= layout.size) return 'all'
  // A size counts once a piece has matched.
  if (wanted.length === 0) return [{ from: 0, to: 1 }]
  return wanted.map(({ start, end }) => ({ from: pieceAt(layout, start), to: pieceAt(layout, end - 1) + 1 }))
}
