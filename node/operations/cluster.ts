/** Operations on the cluster: its token, its members, and the key that governs it. */
import { CodedError } from '../../src/base/base.ts'
import { dropAuthority, exportAuthority, importAuthority } from '../../src/swarm/cluster/authority.ts'
import { clusterId, findCluster, rotateSecret, tokenOf } from '../../src/swarm/cluster/cluster.ts'
import type { Operation, OperationContext } from './operations.ts'
import { withSealer } from './policy.ts'

/** The operation is about other nodes, and none can be reached without a node that runs. */
export class NotRunningError extends CodedError {
  readonly code = 'NOT_RUNNING'
}

export const readToken: Operation<'token'> = async ({ node, member }) => {
  const addresses = member?.swarm.addresses()
  // As it is on the disk: a rotation counts at once for those who are to join, and for this node from its next start on.
  const cluster = (await findCluster(node.settings.data)) ?? node.membership.cluster
  const isRotated = Buffer.compare(cluster.secret, node.membership.cluster.secret) !== 0
  return { token: tokenOf(cluster, addresses), running: member !== undefined, rotated: isRotated }
}

export const rotateToken: Operation<'token-rotate'> = async ({ node, member }) => {
  const cluster = await rotateSecret(node.settings.data)
  return { token: tokenOf(cluster, member?.swarm.addresses()), running: member !== undefined }
}

export const listPeers: Operation<'peers'> = async ({ node, member }) => {
  if (member === undefined) {
    throw new NotRunningError('no node runs on this data directory; start it with shoal serve')
  }
  const { identity, cluster } = node.membership
  const { swarm, exchange } = member
  const self = { peer: identity.peerId, addresses: swarm.addresses(), cluster: clusterId(cluster) }
  return { self, members: swarm.members.list(), exchange: exchange.status() }
}

export const exportAuthorityKey: Operation<'authority-export'> = async ({ node }, { drop }) => {
  const key = await exportAuthority(node.settings.data)
  if (drop) {
    await nameSealer(node)
    await dropAuthority(node.settings.data)
  }
  return { key, sealers: node.names.policy().sealers }
}

/** Who is to say which record of an immutable tag came first, once the authority is not there to do it. */
async function nameSealer({ names, membership }: OperationContext['node']): Promise<void> {
  const policy = names.policy()
  const sealers = withSealer(policy, membership.identity.peerId)
  if (sealers !== policy.sealers) await names.setPolicy({ ...policy, sealers })
}

export const importAuthorityKey: Operation<'authority-import'> = async ({ node }, { key }) => {
  await importAuthority(node.settings.data, key)
  return {}
}
