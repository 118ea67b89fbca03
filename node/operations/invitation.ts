/** Operations on invitations: tokens that let in so many nodes, until a moment, and can be taken back. */
import { CodedError, writeDuration } from '../../src/base/base.ts'
import { endOf, type Invitation, invitationId, maxUses } from '../../src/records/records.ts'
import { tokenOf } from '../../src/swarm/cluster/cluster.ts'
import { createSeed } from '../../src/swarm/cluster/key-file.ts'
import { invitationSecret } from '../../src/swarm/cluster/token.ts'
import { identityFromSeed } from '../../src/wire/wire.ts'
import { maxLiveInvitations } from '../cluster/admissions.ts'
import type { Operation, OperationContext } from './operations.ts'
import type { ShownInvitation } from './shown.ts'

/** The invitation is not there, or cannot be as it is asked for. */
class InvitationError extends CodedError {
  readonly code = 'INVITATION'
}

const longestMs = 10 * 365 * 24 * 60 * 60_000
/** An ended one is listed for so long. */
const listedForMs = 30 * 24 * 60 * 60_000

export const createInvitation: Operation<'token-create'> = async (
  { node, member },
  { expiresMs: afterMs, uses, approved, site },
) => {
  if (uses < 1 || uses > maxUses)
    throw new InvitationError(`an invitation has 1 to ${maxUses} uses, not ${uses}`)
  if (afterMs > longestMs)
    throw new InvitationError(`an invitation ends within ten years, not after ${writeDuration(afterMs)}`)
  const seed = createSeed()
  const { publicKey: key } = identityFromSeed(seed)
  const id = invitationId(key)
  const nowMs = Date.now()
  const expiresMs = Math.floor(nowMs + afterMs)
  await publish(node, id, () => {
    const live = [...node.names.roster().invitations.values()].filter((one) => endOf(one) > nowMs)
    if (live.length >= maxLiveInvitations)
      throw new InvitationError(
        `there are ${live.length} invitations, and no more are taken; revoke some (shoal token ls, shoal token revoke ID)`,
      )
    return {
      key,
      uses,
      expiresMs,
      ...(approved ? { approvedMs: nowMs } : {}),
      ...(site === undefined ? {} : { site }),
    }
  })
  const { authority, bootstrap } = node.membership.secrets.cluster()
  const secret = invitationSecret(key)
  const token = tokenOf({ authority, bootstrap, secret, invitation: seed }, member?.swarm.addresses())
  return { token, invitation: shown(get(node, id)), running: member !== undefined }
}

export const listInvitations: Operation<'token-ls'> = async ({ node }) => {
  const all = [...node.names.roster().invitations.values()]
  const listed = all.filter((one) => endOf(one) > Date.now() - listedForMs)
  return { invitations: listed.sort((a, b) => a.expiresMs - b.expiresMs).map(shown) }
}

export const revokeInvitation: Operation<'token-revoke'> = async ({ node }, { id }) => {
  const found = [...node.names.roster().invitations.keys()].filter((known) => known.startsWith(id))
  const [one, ...others] = found
  if (one === undefined || id === '')
    throw new InvitationError(`there is no invitation "${id}"; shoal token ls lists those there are`)
  if (others.length > 0)
    throw new InvitationError(`${found.length} invitations begin with ${id}; give more of it`)
  await publish(node, one, () => {
    const { id: _, author: __, admitted: ___, ...value } = get(node, one)
    return { revokedMs: Date.now(), ...value }
  })
  return shown(get(node, one))
}

/** Signed by the authority where its key is here, else by this node, which the policy has to name. */
async function publish(
  { names }: OperationContext['node'],
  id: string,
  decide: () => Omit<Invitation, 'id' | 'author' | 'admitted'>,
): Promise<void> {
  const decision = async () => [{ kind: 'invitation' as const, id, value: decide() }]
  if (names.authority.holds()) await names.publishAsAuthority(decision)
  else await names.publish(decision)
}

function get({ names }: OperationContext['node'], id: string): Invitation {
  const invitation = names.roster().invitations.get(id)
  if (invitation === undefined) throw new InvitationError(`there is no invitation ${id}`)
  return invitation
}

function shown({
  id,
  uses,
  admitted,
  expiresMs,
  revokedMs,
  approvedMs,
  site,
  author,
}: Invitation): ShownInvitation {
  return {
    id,
    uses,
    admitted,
    expiresMs,
    isApproved: approvedMs !== undefined,
    author,
    ...(revokedMs === undefined ? {} : { revokedMs }),
    ...(site === undefined ? {} : { site }),
  }
}
