/** Operations on invitations: tokens that let in so many nodes, until a moment, and can be taken back. */
import { CodedError, writeDuration } from '../../src/base/base.ts'
import {
  endOf,
  type Invitation,
  type InvitationValue,
  invitationId,
  maxUses,
} from '../../src/records/records.ts'
import { type Cluster, tokenOf } from '../../src/swarm/cluster/cluster.ts'
import { createSeed } from '../../src/swarm/cluster/key-file.ts'
import { invitationSecret } from '../../src/swarm/cluster/token.ts'
import { identityFromSeed } from '../../src/wire/wire.ts'
import { maxLiveInvitations } from '../cluster/admissions.ts'
import type { Operation, OperationContext, OperationTypes } from './operations.ts'
import type { ShownInvitation } from './shown.ts'

/** The invitation is not there, or cannot be as it is asked for. */
class InvitationError extends CodedError {
  readonly code = 'INVITATION'
}

const longestMs = 10 * 365 * 24 * 60 * 60_000
/** An ended one is listed for so long. */
const listedForMs = 30 * 24 * 60 * 60_000

/** The invitations that are to be changed, wherever they are: on this node, or with what signs for it. */
export interface InvitationNames {
  list(): Promise<ShownInvitation[]>
  /** What a token says of the cluster, and whether the node runs. */
  cluster(): Promise<Pick<Cluster, 'authority' | 'bootstrap'> & { running: boolean }>
  /** `decide` is given what stands; what it returns is signed, and stands when it resolves. */
  change(id: string, decide: (standing: InvitationValue | undefined) => InvitationValue): Promise<void>
}

export type InvitationChange = 'token-create' | 'token-revoke'
type Change<N extends InvitationChange> = (
  names: InvitationNames,
  params: OperationTypes[N]['params'],
) => Promise<OperationTypes[N]['result']>

export const makeInvitation: Change<'token-create'> = async (
  names,
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
  await names.change(id, () => ({
    key,
    uses,
    expiresMs,
    ...(approved ? { approvedMs: nowMs } : {}),
    ...(site === undefined ? {} : { site }),
  }))
  const { authority, bootstrap, running } = await names.cluster()
  const token = tokenOf({ authority, bootstrap, secret: invitationSecret(key), invitation: seed })
  return { token, invitation: await getOne(names, id), running }
}

export const endInvitation: Change<'token-revoke'> = async (names, { id }) => {
  const found = (await names.list()).filter((known) => known.id.startsWith(id))
  const [one, ...others] = found
  if (one === undefined || id === '')
    throw new InvitationError(`there is no invitation "${id}"; shoal token ls lists those there are`)
  if (others.length > 0)
    throw new InvitationError(`${found.length} invitations begin with ${id}; give more of it`)
  await names.change(one.id, (standing) => {
    if (standing === undefined) throw new InvitationError(`there is no invitation ${one.id}`)
    return { revokedMs: Date.now(), ...standing }
  })
  return await getOne(names, one.id)
}

async function getOne(names: InvitationNames, id: string): Promise<ShownInvitation> {
  const found = (await names.list()).find((one) => one.id === id)
  if (found === undefined) throw new InvitationError(`there is no invitation ${id}`)
  return found
}

/** For one more. Throws InvitationError. */
export function checkRoom(invitations: Iterable<InvitationValue>): void {
  const { length } = [...invitations].filter((one) => endOf(one) > Date.now())
  if (length < maxLiveInvitations) return
  throw new InvitationError(
    `there are ${length} invitations, and no more are taken; revoke some (shoal token ls, shoal token revoke ID)`,
  )
}

/** Signed by the authority where its key is here, else by this node, which the policy has to name. */
function onNode<N extends InvitationChange>(change: Change<N>): Operation<N> {
  return async ({ node, member }, params) => {
    const { names } = node
    return await change(
      {
        list: async () => listed(node),
        async cluster() {
          const { authority, bootstrap } = node.membership.secrets.cluster()
          const addresses = member?.swarm.addresses() ?? []
          return { authority, bootstrap: [...addresses, ...bootstrap], running: member !== undefined }
        },
        async change(id, decide) {
          const decision = async () => {
            const { invitations } = names.roster()
            const known = invitations.get(id)
            if (known === undefined) checkRoom(invitations.values())
            return [{ kind: 'invitation' as const, id, value: decide(known && invitationValueOf(known)) }]
          }
          if (names.authority.holds()) await names.publishAsAuthority(decision)
          else await names.publish(decision)
        },
      },
      params,
    )
  }
}

export const createInvitation = onNode(makeInvitation)
export const revokeInvitation = onNode(endInvitation)

export const listInvitations: Operation<'token-ls'> = async ({ node }) => ({ invitations: listed(node) })

/** What stands of it, for whoever decides on it elsewhere. */
export const findInvitation: Operation<'token-find'> = async ({ node }, { id }) => {
  const record = node.names.findRecord({ kind: 'invitation', id })
  return record === undefined ? {} : { record: Buffer.from(record).toString('base64') }
}

function invitationValueOf({ id: _, author: __, admitted: ___, ...value }: Invitation): InvitationValue {
  return value
}

function listed({ names }: OperationContext['node']): ShownInvitation[] {
  const all = [...names.roster().invitations.values()]
  const recent = all.filter((one) => endOf(one) > Date.now() - listedForMs)
  return recent.sort((a, b) => a.expiresMs - b.expiresMs).map(shown)
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
