/** Which tags a retention rule of the policy lets go. */
import type { Tag } from '../oci/oci.ts'

/** A tag stays that any of it keeps. */
export interface Retention {
  /** So many, the newest. */
  keepTags?: number
  keepWithinMs?: number
  /** Whether a pattern keeps it. */
  isMatching(tag: Tag): boolean
}

export interface WrittenTag {
  tag: Tag
  writtenMs: number
}

/**
 * Those that go, the oldest first. Of fewer tags than there are it names no other ones: a tag that is not known yet could only
 * have more of them go.
 */
export function expiredTags<T extends WrittenTag>(
  { keepTags = 0, keepWithinMs = Number.NEGATIVE_INFINITY, isMatching }: Retention,
  tags: readonly T[],
  nowMs: number,
): T[] {
  return [...tags]
    .sort((a, b) => b.writtenMs - a.writtenMs || (a.tag < b.tag ? -1 : 1))
    .slice(keepTags)
    .filter(({ tag, writtenMs }) => nowMs - writtenMs >= keepWithinMs && !isMatching(tag))
    .reverse()
}
