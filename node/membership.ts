/** Which node this is and which cluster it belongs to: read from the data directory, made or joined on the first start. */
import { findAuthority } from '../src/swarm/authority.ts'
import { type Cluster, findCluster, joinCluster, startCluster } from '../src/swarm/cluster.ts'
import { type NodeIdentity, openIdentity } from '../src/swarm/identity.ts'
import type { Identity } from '../src/wire/wire.ts'
import type { Settings } from './settings/settings.ts'

export interface Membership {
  readonly identity: NodeIdentity
  readonly cluster: Cluster
  /** The authority's key pair, on the node that holds it. */
  readonly authority: Identity | undefined
}

export async function openMembership(directory: string, { join }: Settings): Promise<Membership> {
  const identity = await openIdentity(directory)
  const cluster = join === undefined ? await findCluster(directory) : await joinCluster(directory, join)
  const known = cluster ?? (await startCluster(directory))
  return { identity, cluster: known, authority: await findAuthority(directory) }
}
