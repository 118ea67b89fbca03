/** What would go to make room, in groups: the same for `shoal gc --plan` and the page. */
import type { EvictionReason } from '../../src/store/store.ts'
import type { PlannedBlob, PlannedGroup } from './shown.ts'

const why: Record<EvictionReason, string> = {
  part: 'part of a blob, given up',
  mirrored: 'its upstream has it',
  surplus: 'enough other members have it',
  unreferenced: 'no manifest refers to it yet',
}

/** By reason and repository: whoever has the longest unused blob comes first. */
export function groupPlanned(blobs: readonly PlannedBlob[]): PlannedGroup[] {
  const found = Map.groupBy(blobs, ({ reason, repository = '' }) => `${reason}\0${repository}`)
  return [...found.values()].flatMap((some) => {
    const [first] = some
    if (first === undefined) return []
    const { reason, repository, unusedMs } = first
    return {
      why: why[reason],
      ...(repository === undefined ? {} : { repository }),
      blobs: some.length,
      bytes: some.reduce((sum, { bytes }) => sum + bytes, 0),
      unusedMs,
    }
  })
}
