/** What this node last heard of a name in an upstream: more often than records say so, which are not written for each check. */
import { RecentMap } from '../base/base.ts'
import type { Digest } from '../oci/oci.ts'
import type { TagEntry } from '../records/records.ts'

interface Check {
  atMs: number
  /** `undefined` when there was no such name. */
  digest: Digest | undefined
}

const maxRemembered = 20_000

export class Checks {
  readonly #checks = new RecentMap<string, Check>(maxRemembered)

  note(name: string, check: Check): void {
    this.#checks.set(name, check)
  }

  /** When it was last heard that the name points to `digest`, or with `undefined` that there is none. */
  heardMs(name: string, digest: Digest | undefined): number | undefined {
    const check = this.#checks.get(name)
    return check !== undefined && check.digest === digest ? check.atMs : undefined
  }
}

/**
 * When a mirrored tag's upstream last said what its record says, on this node's steady clock. A tag that was pushed to the
 * cluster always holds.
 */
export function lastCheckMs(
  standing: TagEntry,
  name: string,
  checks: Checks,
  { nowMs, wallMs }: { nowMs: number; wallMs: number },
): number {
  if (standing.checkedMs === undefined) return nowMs
  // By another member's clock; one that is ahead of this node's must not keep a tag fresh for longer.
  const publishedMs = standing.checkedMs > wallMs ? 0 : nowMs - (wallMs - standing.checkedMs)
  return Math.max(publishedMs, checks.heardMs(name, standing.digest) ?? 0)
}
