/** Operations on members: who they are, who waits to be one, and what the cluster says of them. */
import { CodedError } from '../../src/base/base.ts'
import { type MemberValue, memberValueOf } from '../../src/records/records.ts'
import { parsePeerId } from '../../src/wire/wire.ts'
import type { Operation, OperationContext } from './operations.ts'
import { changeBan } from './policy.ts'
import { type ShownMember, shownMembers } from './shown-members.ts'

/** Nobody, or more than one, goes by what was given. */
class MemberError extends CodedError {
  readonly code = 'MEMBER'
}

/** Of names in a record, shown in tables: none that another member's id could be. */
const namePattern = /^(?!12D3KooW)[a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?$/

export const listMembers: Operation<'members'> = async (context) => {
  const { names, membership } = context.node
  return {
    mode: names.policy().members ?? 'token',
    self: membership.identity.peerId,
    members: await shownMembers(context),
  }
}

/** A peer id, the beginning of one that is known, or a name. Throws MemberError. */
export async function findPeer(context: OperationContext, who: string): Promise<ShownMember> {
  const all = await shownMembers(context)
  const exact = all.find(({ peer }) => peer === who)
  if (exact !== undefined) return exact
  const named = all.filter(({ name }) => name === who)
  const begun = all.filter(
    ({ peer }) => who.length >= 4 && (peer.startsWith(who) || peer.startsWith(`12D3KooW${who}`)),
  )
  const found = [...new Set([...named, ...begun])]
  const [one, ...others] = found
  if (one !== undefined && others.length === 0) return one
  if (one !== undefined)
    throw new MemberError(
      `"${who}" may be ${found.map(({ peer }) => peer).join(' or ')}: give the id, or more of it`,
    )
  parseId(who)
  return { peer: who, state: 'away' }
}

function parseId(who: string): void {
  try {
    parsePeerId(who)
  } catch (cause) {
    throw new MemberError(
      `nobody goes by "${who}" here: give a name or the beginning of an id that shoal members lists, or a whole peer id`,
      { cause },
    )
  }
}

export const approveMember: Operation<'member-approve'> = async (context, { who, name }) => {
  const found = await findPeer(context, who)
  const { peer, state } = found
  if (state === 'banned')
    throw new MemberError(`${peer} is banned; lift that first (shoal member unban ${peer})`)
  if (name !== undefined) checkName(name)
  const label = name ?? (found.name !== undefined && namePattern.test(found.name) ? found.name : undefined)
  await change(context, peer, ({ goneMs: _, ...standing }) => ({
    ...(label === undefined ? {} : { name: label }),
    ...standing,
    ...(name === undefined ? {} : { name }),
    approvedMs: standing.approvedMs ?? Date.now(),
  }))
  return { peer }
}

export const forgetMember: Operation<'member-forget'> = async (context, { who }) => {
  const { peer } = await findPeer(context, who)
  if (peer === context.node.membership.identity.peerId)
    throw new MemberError(`${peer} is this node, which is not gone; forget it at another one`)
  await change(context, peer, (standing) => ({ ...standing, goneMs: Date.now() }))
  return { peer }
}

export const renameMember: Operation<'member-rename'> = async (context, { who, name }) => {
  checkName(name)
  const { peer } = await findPeer(context, who)
  await change(context, peer, (standing) => ({ ...standing, name }))
  return { peer }
}

/** The same as `policy ban`, of whoever goes by a name. */
export const banMember: Operation<'member-ban'> = async (context, { who, ...how }, emit, options) => {
  const { peer } = await findPeer(context, who)
  const policy = await changeBan(context, { peer, ...how }, emit, options)
  return { peer, policy }
}

function checkName(name: string): void {
  if (namePattern.test(name)) return
  throw new MemberError(
    `"${name}" cannot be a name; use up to 64 letters, digits, and . _ - in between, and no peer id`,
  )
}

/** Signed by the authority where its key is here, else by this node, which the policy has to name. */
async function change(
  { node: { names } }: OperationContext,
  peer: string,
  decide: (standing: MemberValue) => MemberValue,
): Promise<void> {
  const decision = async () => [
    { kind: 'member' as const, peer, value: decide(memberValueOf(names.roster().entries.get(peer))) },
  ]
  if (names.authority.holds()) await names.publishAsAuthority(decision)
  else await names.publish(decision)
}
