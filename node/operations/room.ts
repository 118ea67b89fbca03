/** The operation behind `shoal gc --plan`: what would go, and why. */
import type { CollectReport, EvictionPlan, RoomStatus } from '../../src/store/store.ts'
import type { Operation } from './operations.ts'
import type { PlannedBlob } from './shown.ts'
import { collect } from './store.ts'

export interface RoomPlan {
  /** What the data directory takes, and may take; absent without --max-disk. */
  limit?: NonNullable<RoomStatus['limit']>
  /** What nothing needs: goes at the next collection. */
  garbage: CollectReport
  /** Of all that would go to make room. */
  totals: EvictionPlan['totals']
  /** In the order in which they would go; of many, the first. */
  blobs: PlannedBlob[]
}

export const planRoom: Operation<'gc-plan'> = async (context, params, emit, options) => {
  const { room } = context.node.store
  const garbage = await collect(context, { ...params, dryRun: true }, emit, options)
  const { candidates, totals, nowMs } = await room.plan(options)
  return {
    ...room.status(),
    garbage,
    totals,
    blobs: candidates.map(({ digest, reason, bytes, repository, usedMs }) => ({
      digest,
      reason,
      bytes,
      ...(repository === undefined ? {} : { repository }),
      unusedMs: Math.max(0, nowMs - usedMs),
    })),
  }
}
