/** The operation behind `shoal retention`: which tags no rule keeps, and deleting them now. */
import { CodedError } from '../../src/base/base.ts'
import {
  areTooManyMissing,
  deleteExpired,
  type ExpiredTag,
  findExpired,
  type JudgedTag,
} from '../retention.ts'
import type { Operation } from './operations.ts'

export interface RetentionReport {
  /** How many rules the policy has. */
  rules: number
  /** What would go, or went. */
  tags: ExpiredTag[]
  /** What goes by the rest of its rule, and stays for its pulls. */
  kept: JudgedTag[]
}

/** Most of the cluster is away, and with it what it may have deleted. */
class MembersMissingError extends CodedError {
  readonly code = 'MEMBERS_MISSING'
}

export const retain: Operation<'retention'> = async (
  { node, member, copies },
  { dryRun, force = false },
  _emit,
  { signal },
) => {
  const { names } = node
  const rules = names.policy().retention?.length ?? 0
  if (!dryRun && !force) {
    const missing = await member?.swarm.members.missing()
    if (missing === undefined)
      throw new MembersMissingError(
        'no node runs here, so what others deleted is not known: start it, or give --force',
      )
    const connected = member?.swarm.members.peers() ?? []
    if (areTooManyMissing({ connected, missing: missing.length }))
      throw new MembersMissingError(
        `${missing.length} members are away, and what they deleted is not known here, so that other tags may look old: wait for them, or give --force`,
      )
  }
  const { expired, kept } = await findExpired(node, {
    ...(copies === undefined ? {} : { findPulls: copies.findPulls }),
    signal,
  })
  return { rules, tags: dryRun ? expired : await deleteExpired(node, expired, { signal }), kept }
}
