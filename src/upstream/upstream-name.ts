/** Which names are an upstream's, and not the cluster's own. */
import type { Upstreams } from './upstream.ts'

/**
 * Whether what is named so comes from an upstream: one of this node, or of a member that reaches it. A member's word makes a
 * mirror only of what looks like a host: no misconfigured one takes `team/` from the cluster.
 */
export function isUpstreamName(
  name: string,
  upstreams: Pick<Upstreams, 'find'>,
  members: { mirroring(name: string): readonly string[] },
): boolean {
  return upstreams.find(name) !== undefined || (name.includes('.') && members.mirroring(name).length > 0)
}
