/** Which names are an upstream's, and not the cluster's own. */
import type { MirrorWord } from '../oci/oci.ts'
import type { Upstreams } from './upstream.ts'

/** What members say of the upstream that a name begins with. */
export interface MemberWords {
  wordFor(upstream: string, name: string): MirrorWord | undefined
}

/**
 * By whose word `name`, which begins with the upstream's, comes from it; `undefined` where it is the cluster's own. A member's
 * makes a mirror only of what looks like a host: no misconfigured one takes `team/` from the cluster.
 */
export function wordFor(
  upstream: string,
  name: string,
  upstreams: Pick<Upstreams, 'find'>,
  members: MemberWords,
): MirrorWord | undefined {
  if (upstreams.find(upstream) !== undefined) return 'rule'
  return upstream.includes('.') ? members.wordFor(upstream, name) : undefined
}
