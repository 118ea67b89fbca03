/** Counts what is served although its upstream was not asked as lately as the operator wants. */
import type { Staleness } from './mirror.ts'
import type { Collaborators } from './registry.ts'

export type CountStale = <T extends { stale?: Staleness }>(found: T) => T

/** Returns what it is given. */
export function createStaleCount({ metrics, mirror }: Pick<Collaborators, 'metrics' | 'mirror'>): CountStale {
  return (found) => {
    const name = found.stale?.upstream
    if (name === undefined) return found
    // Names that only members reach are as many as they like.
    metrics.count('shoal_mirror_stale_total', { upstream: mirror.mirrored.includes(name) ? name : 'other' })
    return found
  }
}
