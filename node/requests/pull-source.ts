/** What a pull counts as: bytes may come from several places. */
import type { Origins } from '../../src/base/base.ts'

export type Source = 'local' | 'peer' | 'upstream'

/** The farthest place that any byte came from. */
export function sourceOf({ upstream, peers }: Origins): Source {
  if (upstream > 0) return 'upstream'
  return peers.size > 0 ? 'peer' : 'local'
}

export function peerBytes({ peers }: Origins): number {
  let sum = 0
  for (const bytes of peers.values()) sum += bytes
  return sum
}
