/** Operations on the cluster: its token, its members, and the key that governs it. */
import { CodedError } from '../../src/base/base.ts'
import { findAuthority } from '../../src/swarm/cluster/authority.ts'
import { clusterId, tokenOf } from '../../src/swarm/cluster/cluster.ts'
import { maxRotationMembers } from '../../src/swarm/cluster/rotation.ts'
import { AuthorityAbsentError } from '../../src/swarm/errors.ts'
import { late } from '../late.ts'
import type { Operation, OperationContext } from './operations.ts'

/** The operation is about other nodes, and none can be reached without a node that runs. */
export class NotRunningError extends CodedError {
  readonly code = 'NOT_RUNNING'
}

/** The node has an invitation, and nothing to give to others. */
class NoMemberError extends CodedError {
  readonly code = 'NO_MEMBER'
}

export const readToken: Operation<'token'> = async ({ node, member }) => {
  const { secrets } = node.membership
  if (secrets.isNewcomer())
    throw new NoMemberError('this node is no member yet, so it has no token to give; see shoal doctor')
  return { token: tokenOf(secrets.cluster(), member?.swarm.addresses()), running: member !== undefined }
}

/** Peer ids of those that are members as far as this node knows, without itself: connected, or met and not forgotten since. */
export async function knownMembers({ node, member }: OperationContext): Promise<string[]> {
  const { names, membership, swarmTable } = node
  const { rememberedPeers } = await late(() => import('../../src/swarm/cluster/remembered.ts'))
  const known =
    member === undefined
      ? await rememberedPeers(swarmTable, maxRotationMembers)
      : await member.swarm.members.known()
  const { entries } = names.roster()
  const here = new Set(member?.swarm.members.list().map(({ peer }) => peer))
  return known.filter(
    (peer) =>
      peer !== membership.identity.peerId &&
      !names.isBanned(peer) &&
      !names.isGuest(peer) &&
      // Where the token is enough, who was forgotten and is back is a member.
      (entries.get(peer)?.goneMs === undefined || here.has(peer)),
  )
}

export const rotateToken: Operation<'token-rotate'> = async (context, { graceMs }) => {
  const { node, member } = context
  const { membership, names, settings } = node
  const authority = names.authority.holds() ? await findAuthority(settings.data) : undefined
  if (authority === undefined) {
    throw new AuthorityAbsentError(
      'only the authority rotates the secret, and its key is not on this node; run it where shoal authority export works, or import the key first',
    )
  }
  const members = (await knownMembers(context)).slice(0, maxRotationMembers - 1)
  const { secrets, identity } = membership
  await secrets.rotate({ authority, members: [identity.peerId, ...members], graceMs })
  const token = tokenOf(secrets.cluster(), member?.swarm.addresses())
  return { token, running: member !== undefined, members }
}

export const listPeers: Operation<'peers'> = async ({ node, member }) => {
  if (member === undefined) {
    throw new NotRunningError('no node runs on this data directory; start it with shoal serve')
  }
  const { identity, cluster } = node.membership
  const { swarm, exchange, lost } = member
  const away = lost.list()
  const self = { peer: identity.peerId, addresses: swarm.addresses(), cluster: clusterId(cluster) }
  return {
    self,
    members: swarm.members.list(),
    ...(away.length === 0 ? {} : { away }),
    exchange: exchange.status(),
  }
}
