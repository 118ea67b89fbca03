/** Operations on the authority: its key on this node, and how it goes over to another one. */
import type { Logger } from '../../src/base/base.ts'
import type { AuthorityState, Ledger } from '../../src/records/records.ts'
import {
  dropAuthority,
  exportAuthority,
  findComing,
  type Governs,
  importAuthority,
  prepareAuthority,
  settleAuthority,
} from '../../src/swarm/cluster/authority.ts'
import { AuthorityAbsentError } from '../../src/swarm/errors.ts'
import { type Proposal, ProposalError, signaturesOf, signProposal } from '../authority-proposal.ts'
import type { Operation, OperationContext } from './operations.ts'
import { withSealer } from './policy.ts'

/** `held`: its key is on this node. */
export type ShownAuthority = AuthorityState & { held: boolean }

/** When the node opens: the key that governs may have come while it was stopped. */
export async function takeUpAuthority(directory: string, names: Ledger, logger: Logger): Promise<void> {
  const key = await settleAuthority(directory, governsIn(names))
  await names.authority.use(key)
  if (key !== undefined && !names.authority.holds())
    logger.warn(
      { key: key.peerId, authority: names.authority.state().now },
      `${directory}/authority holds a key that does not govern this cluster, and nothing is signed with it; it was handed over, or is another cluster's`,
    )
}

export const showAuthority: Operation<'authority-show'> = async ({ node }) => shown(node.names)

export const exportAuthorityKey: Operation<'authority-export'> = async ({ node }, { drop }) => {
  const { names, settings } = node
  const key = await exportAuthority(settings.data)
  if (drop) {
    if (names.authority.holds()) await nameSealer(node)
    await dropAuthority(settings.data)
    await names.authority.use(undefined)
  }
  return { key, sealers: names.policy().sealers }
}

/** Who is to say which record of an immutable tag came first, once the authority is not there to do it. */
async function nameSealer({ names, membership }: OperationContext['node']): Promise<void> {
  const policy = names.policy()
  const sealers = withSealer(policy, membership.identity.peerId)
  if (sealers !== policy.sealers) await names.setPolicy({ ...policy, sealers })
}

export const importAuthorityKey: Operation<'authority-import'> = async ({ node }, { key }) => {
  const { names, settings } = node
  await names.authority.use(await importAuthority(settings.data, key, governsIn(names)))
  return {}
}

export const rotateAuthority: Operation<'authority-rotate'> = async ({ node }) => {
  const { names, settings, membership } = node
  if (!names.authority.holds())
    throw new AuthorityAbsentError(
      `the authority is handed over by its key, and that is not on this node: ${names.authority.state().now} governs; import the key first, or see shoal authority recover where it is lost`,
    )
  const next = await prepareAuthority(settings.data, 'authority.next')
  await names.authority.handOver(next)
  await settleAuthority(settings.data, governsIn(names))
  await membership.secrets.signAgain(next)
  return shown(names)
}

export const followAuthority: Operation<'authority-follow'> = async ({ node }, { peer }) => {
  const { names, settings } = node
  await names.authority.follow(peer)
  await names.authority.use(await settleAuthority(settings.data, governsIn(names)))
  return shown(names)
}

export const proposeAuthority: Operation<'authority-propose'> = async ({ node }) => {
  const { names, settings, membership } = node
  const atMs = Date.now()
  // What would not be allowed makes no key.
  names.authority.proposal(membership.identity.publicKey, atMs)
  const key = await prepareAuthority(settings.data, 'authority.proposed')
  return { from: names.authority.state().now, to: key.peerId, atMs, signatures: {} }
}

/** With this node's own key. */
export const signByNode: Operation<'authority-sign'> = async ({ node: { membership } }, { proposal }) =>
  signProposal(proposal, membership.identity)

export const applyProposal: Operation<'authority-apply'> = async ({ node }, { proposal }) => {
  const { names, settings, membership } = node
  const key = await findComing(settings.data, 'authority.proposed')
  if (key?.peerId !== proposal.to)
    throw new ProposalError(
      `the key ${proposal.to} is not on this node; apply the proposal where it was made last, as its key lies there`,
    )
  const { now } = names.authority.state()
  if (now !== proposal.from)
    throw new ProposalError(
      `the proposal replaces ${proposal.from}, and ${now} is the authority now; make a new one: shoal authority recover propose FILE`,
    )
  await names.authority.replace(key, proposal.atMs, signaturesOf(countedOnly(proposal, names)))
  await settleAuthority(settings.data, governsIn(names))
  await membership.secrets.signAgain(key)
  return shown(names)
}

/** Without signatures by keys that have no say, which anybody can add. Throws ProposalError where there are too few others. */
function countedOnly(proposal: Proposal, names: Ledger): Proposal {
  const { keys = [], need = 1 } = names.policy().recovery ?? {}
  const counted = Object.entries(proposal.signatures).filter(([signer]) => keys.includes(signer))
  if (counted.length < need)
    throw new ProposalError(
      `${counted.length} of the keys that the policy's "recovery" names have signed, and it takes ${need}; shoal authority recover sign FILE --key FILE, with ${keys.join(', ')}`,
    )
  return { ...proposal, signatures: Object.fromEntries(counted) }
}

function shown(names: Ledger): ShownAuthority {
  return { ...names.authority.state(), held: names.authority.holds() }
}

function governsIn(names: Ledger): Governs {
  return (publicKey) => names.signsAs(publicKey) === 'authority'
}
