/** Operations on members: who they are, who waits to be one, and what the cluster says of them. */
import { CodedError } from '../../src/base/base.ts'
import { type MemberValue, memberValueOf } from '../../src/records/records.ts'
import { parsePeerId } from '../../src/wire/wire.ts'
import { plainName } from '../peer-names.ts'
import type { Operation, OperationContext, OperationTypes } from './operations.ts'
import { changeBan } from './policy.ts'
import type { ShownMember } from './shown.ts'
import { shownMembers } from './shown-members.ts'

/** Nobody, or more than one, goes by what was given. */
class MemberError extends CodedError {
  readonly code = 'MEMBER'
}

export const listMembers: Operation<'members'> = async (context) => {
  const { names, membership } = context.node
  return {
    mode: names.policy().members ?? 'token',
    self: membership.identity.peerId,
    members: await shownMembers(context),
  }
}

/** Bounded by what a node remembers. */
export const callPeers: Operation<'called'> = async ({ node }, { peers }) => node.peers.call(peers)

/** A peer id, the beginning of one that is known, or a name. Throws MemberError. */
export async function findPeer(context: OperationContext, who: string): Promise<ShownMember> {
  const all = await shownMembers(context)
  const exact = all.find(({ peer }) => peer === who)
  if (exact !== undefined) return exact
  const named = bearersOf(who, all, context)
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

/** What a guest calls itself takes no name from anybody else. */
function bearersOf(name: string, all: ShownMember[], { node: { names } }: OperationContext): ShownMember[] {
  const named = all.filter((one) => one.name === name)
  const { entries } = names.roster()
  const known = named.filter(({ peer, state }) => state !== 'guest' || entries.get(peer)?.name === name)
  return known.length > 0 ? known : named
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

/** A member as it stands, for whoever decides on it elsewhere. */
export interface FoundMember extends ShownMember {
  /** Whether it is the node that was asked. */
  isSelf: boolean
  value: MemberValue
  /** What stands of it, in Base64. */
  record?: string
  /** Who else goes by the name that it is to have, or that it has: a peer id. */
  taken?: string
}

export const findMember: Operation<'member-find'> = async (context, { who, name }) => {
  const { names, membership } = context.node
  const found = await findPeer(context, who)
  const { peer } = found
  const record = names.findRecord({ kind: 'member', peer })
  const all = await shownMembers(context)
  const taken = bearersOf(name ?? found.name ?? '', all, context).find((one) => one.peer !== peer)
  return {
    ...found,
    ...(taken === undefined ? {} : { taken: taken.peer }),
    isSelf: peer === membership.identity.peerId,
    value: memberValueOf(names.roster().entries.get(peer)),
    ...(record === undefined ? {} : { record: Buffer.from(record).toString('base64') }),
  }
}

/** The members that are to be changed, wherever they are: on this node, or with what signs for it. */
export interface MemberNames {
  /** Throws MemberError. */
  find(who: string, name?: string): Promise<Pick<FoundMember, 'peer' | 'name' | 'state' | 'isSelf' | 'taken'>>
  /** `decide` is given what stands; what it returns is signed, and stands when it resolves. */
  change(peer: string, decide: (standing: MemberValue) => MemberValue): Promise<void>
}

export type MemberChange = 'member-approve' | 'member-forget' | 'member-rename'
type Change<N extends MemberChange> = (
  names: MemberNames,
  params: OperationTypes[N]['params'],
) => Promise<OperationTypes[N]['result']>

export const approveMember: Change<'member-approve'> = async (names, { who, name }) => {
  const found = await names.find(who, name)
  const { peer, state, taken } = found
  if (state === 'banned')
    throw new MemberError(`${peer} is banned; lift that first (shoal member unban ${peer})`)
  if (name !== undefined) checkName(name, taken)
  // What it calls itself, where that could be a name and is nobody's.
  const own = taken === undefined && plainName.test(found.name ?? '') ? found.name : undefined
  const label = name ?? own
  await names.change(peer, ({ goneMs: _, ...standing }) => ({
    ...(label === undefined ? {} : { name: label }),
    ...standing,
    ...(name === undefined ? {} : { name }),
    approvedMs: standing.approvedMs ?? Date.now(),
  }))
  return { peer }
}

export const forgetMember: Change<'member-forget'> = async (names, { who }) => {
  const { peer, isSelf } = await names.find(who)
  if (isSelf) throw new MemberError(`${peer} is this node, which is not gone; forget it at another one`)
  await names.change(peer, (standing) => ({ ...standing, goneMs: Date.now() }))
  return { peer }
}

export const renameMember: Change<'member-rename'> = async (names, { who, name }) => {
  const { peer, taken } = await names.find(who, name)
  checkName(name, taken)
  await names.change(peer, (standing) => ({ ...standing, name }))
  return { peer }
}

/** Signed by the authority where its key is here, else by this node, which the policy has to name. */
export function onNode<N extends MemberChange>(change: Change<N>): Operation<N> {
  return async (context, params, emit, options) => {
    const { names } = context.node
    const here: MemberNames = {
      find: async (who, name) =>
        await findMember(context, { who, ...(name === undefined ? {} : { name }) }, emit, options),
      async change(peer, decide) {
        const decision = async () => [
          { kind: 'member' as const, peer, value: decide(memberValueOf(names.roster().entries.get(peer))) },
        ]
        if (names.authority.holds()) await names.publishAsAuthority(decision)
        else await names.publish(decision)
      },
    }
    return await change(here, params)
  }
}

/** The same as `policy ban`, of whoever goes by a name. */
export const banMember: Operation<'member-ban'> = async (context, { who, ...how }, emit, options) => {
  const { peer } = await findPeer(context, who)
  const standing = context.node.names.policy()
  const changed = how.drop === true || standing.banned.includes(peer) !== how.banned
  const policy = changed ? await changeBan(context, { peer, ...how }, emit, options) : standing
  return { peer, changed, policy }
}

function checkName(name: string, taken: string | undefined): void {
  if (!plainName.test(name))
    throw new MemberError(
      `"${name}" cannot be a name; use up to 64 letters, digits, and . _ - in between, and no peer id`,
    )
  if (taken !== undefined)
    throw new MemberError(
      `${taken} is called "${name}" already, and commands would mean either; give another name, or that one another first (shoal member rename ${taken} NEW-NAME)`,
    )
}
