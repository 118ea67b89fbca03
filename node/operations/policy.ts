/** Operations on the policy: who may publish what, and who is banned. */
import { CodedError } from '../../src/base/base.ts'
import {
  type AccessRule,
  accessRights,
  type Drop,
  type MembersMode,
  membersModes,
  type PlacementRule,
  type Policy,
  type QuotaRule,
  type RetentionRule,
} from '../../src/records/records.ts'
import { knownMembers } from './cluster.ts'
import type { Operation, OperationContext } from './operations.ts'
import { reliedUpon } from './relied-upon.ts'
import { shownMembers } from './shown-members.ts'

/** The policy file does not say what a policy says. */
export class PolicyFileError extends CodedError {
  readonly code = 'POLICY_FILE'
}

export const showPolicy: Operation<'policy-show'> = async ({ node }) => node.names.policy()

/** The node would ban itself, and was not told that this is meant. */
class BanOfSelfError extends CodedError {
  readonly code = 'BAN_OF_SELF'
}

export const setPolicy: Operation<'policy-set'> = (context, { policy, force = false }) => {
  const { sealers, members, ...rest } = parsePolicy(policy)
  const before = context.node.names.policy()
  // Whoever sets a file that says nothing of members must not open the cluster by it.
  const mode = members ?? before.members
  const next: Policy = {
    ...rest,
    sealers: sealers ?? before.sealers,
    ...(mode === undefined ? {} : { members: mode }),
  }
  // Immutable tags that nobody seals can be moved by whoever may write them: see docs/security.md.
  if (sealers === undefined && next.immutable.length > 0) {
    next.sealers = withSealer(next, context.node.membership.identity.peerId)
  }
  return apply(context, next, force)
}

/** Whom the policy would approve, as it is the first by which members have to be. */
export const planPolicy: Operation<'policy-plan'> = async (context, { policy }) => {
  const { members } = parsePolicy(policy)
  const before = context.node.names.policy()
  if (members !== 'approved' || before.members === 'approved') return { approves: [] }
  const present = new Set(await presentMembers(context))
  const all = await shownMembers(context)
  return { approves: all.filter(({ peer }) => present.has(peer)) }
}

/** This node and those that it knows. */
async function presentMembers(context: OperationContext): Promise<string[]> {
  return [context.node.membership.identity.peerId, ...(await knownMembers(context))]
}

/** The policy's sealers, and `self` beside them where all of them are banned: those seal nothing. */
export function withSealer({ sealers, banned }: Policy, self: string): string[] {
  const isSealed = sealers.some((sealer) => !banned.includes(sealer))
  return isSealed || sealers.includes(self) ? sealers : [...sealers, self]
}

/** With `drop` what the peer had published goes away as well, but for manifests that others rely on. */
export const changeBan: Operation<'policy-ban'> = async (
  context,
  { peer, banned, drop = false, force = false },
) => {
  const policy = context.node.names.policy()
  const others = policy.banned.filter((other) => other !== peer)
  const dropping = drop && banned ? { author: peer, keeps: await reliedUpon(context.node, peer) } : undefined
  return await apply(context, { ...policy, banned: banned ? [...others, peer] : others }, force, dropping)
}

async function apply(
  context: OperationContext,
  policy: Policy,
  force: boolean,
  drop?: Drop,
): Promise<Policy> {
  const self = context.node.membership.identity.peerId
  const { names } = context.node
  if (policy.banned.includes(self) && !names.isBanned(self) && !force) {
    throw new BanOfSelfError(
      `${self} is this node, the one that changes the policy; banned, it is refused by all others, and they hear of ` +
        'a change of the policy only when it tries to connect. Give the peer id of another node (see shoal peers), ' +
        'or --force if that is meant',
    )
  }
  const present =
    policy.members === 'approved' && names.policy().members !== 'approved'
      ? { present: await presentMembers(context) }
      : {}
  await names.setPolicy(policy, drop === undefined ? present : { ...present, drop })
  return names.policy()
}

/** Checks the shape; the ledger checks patterns and peer ids. Without sealers it leaves those that are. */
function parsePolicy(value: unknown): Omit<Policy, 'sealers'> & Partial<Policy> {
  const {
    rules = [],
    immutable = [],
    sealers,
    banned = [],
    administrators = [],
    access = [],
    accessMaxAge,
    recovery,
    quotas = [],
    retention = [],
    placement = [],
    copies,
    members,
    ...rest
  } = expectObject(value, 'the policy')
  const [surplus] = Object.keys(rest)
  if (surplus !== undefined)
    throw new PolicyFileError(
      `a policy has rules, immutable, sealers, banned, administrators, access, accessMaxAge, recovery, quotas, retention, placement, copies and members; "${surplus}" is unknown`,
    )
  return {
    rules: expectList(rules, 'rules').map((item, index) => {
      const { repositories, authors } = expectObject(item, `rules[${index}]`)
      return {
        repositories: expectText(repositories, `rules[${index}].repositories`),
        authors: expectList(authors, `rules[${index}].authors`).map((author) =>
          expectText(author, 'an author'),
        ),
      }
    }),
    immutable: expectList(immutable, 'immutable').map((item, index) => {
      const { repositories, tags } = expectObject(item, `immutable[${index}]`)
      return {
        repositories: expectText(repositories, `immutable[${index}].repositories`),
        tags: expectText(tags, `immutable[${index}].tags`),
      }
    }),
    ...(sealers === undefined
      ? {}
      : { sealers: expectList(sealers, 'sealers').map((peer) => expectText(peer, 'a sealer')) }),
    banned: expectList(banned, 'banned').map((peer) => expectText(peer, 'a banned peer')),
    administrators: expectList(administrators, 'administrators').map((peer) =>
      expectText(peer, 'an administrator'),
    ),
    access: expectList(access, 'access').map(parseAccessRule),
    ...(accessMaxAge === undefined ? {} : { accessMaxAge: expectText(accessMaxAge, 'accessMaxAge') }),
    ...(recovery === undefined ? {} : { recovery: parseRecovery(recovery) }),
    quotas: expectList(quotas, 'quotas').map(parseQuota),
    retention: expectList(retention, 'retention').map(parseRetention),
    placement: expectList(placement, 'placement').map(parsePlacementRule),
    ...(copies === undefined ? {} : { copies: expectNumber(copies, 'copies') }),
    ...(members === undefined ? {} : { members: expectMode(members) }),
  }
}

function expectMode(value: unknown): MembersMode {
  const known = membersModes.find((mode) => mode === value)
  if (known !== undefined) return known
  throw new PolicyFileError(`members is ${JSON.stringify(value)}, and not one of ${membersModes.join(', ')}`)
}

function parsePlacementRule(item: unknown, index: number): PlacementRule {
  const at = `placement[${index}]`
  const { repositories, copies, ack, ...rest } = expectObject(item, at)
  const [surplus] = Object.keys(rest)
  if (surplus !== undefined)
    throw new PolicyFileError(`${at} has repositories, copies and ack; "${surplus}" is unknown`)
  return {
    repositories: expectText(repositories, `${at}.repositories`),
    copies: expectNumber(copies, `${at}.copies`),
    ...(ack === undefined ? {} : { ack: expectNumber(ack, `${at}.ack`) }),
  }
}

function parseRecovery(item: unknown): NonNullable<Policy['recovery']> {
  const { keys, need, ...rest } = expectObject(item, 'recovery')
  const [surplus] = Object.keys(rest)
  if (surplus !== undefined) throw new PolicyFileError(`recovery has keys and need; "${surplus}" is unknown`)
  if (typeof need !== 'number' || !Number.isSafeInteger(need))
    throw new PolicyFileError('recovery.need is no number: how many of the keys it takes')
  return { keys: expectList(keys, 'recovery.keys').map((key) => expectText(key, 'a key')), need }
}

function parseAccessRule(item: unknown, index: number): AccessRule {
  const at = `access[${index}]`
  const { repositories, who, may, ...rest } = expectObject(item, at)
  const [surplus] = Object.keys(rest)
  // A word that is mistyped would have the rule say something else than its writer meant.
  if (surplus !== undefined)
    throw new PolicyFileError(`${at} has repositories, who and may; "${surplus}" is unknown`)
  return {
    repositories: expectText(repositories, `${at}.repositories`),
    who: expectList(who, `${at}.who`).map((name) => expectText(name, 'a name')),
    may: expectList(may, `${at}.may`).map((right) => {
      const known = accessRights.find((one) => one === right)
      if (known !== undefined) return known
      throw new PolicyFileError(`${at}.may has "${right}", which is not one of ${accessRights.join(', ')}`)
    }),
  }
}

function parseQuota(item: unknown, index: number): QuotaRule {
  const at = `quotas[${index}]`
  const { repositories, bytes, tags, ...rest } = expectObject(item, at)
  const [surplus] = Object.keys(rest)
  if (surplus !== undefined)
    throw new PolicyFileError(`${at} has repositories, bytes and tags; "${surplus}" is unknown`)
  return {
    repositories: expectText(repositories, `${at}.repositories`),
    ...(bytes === undefined ? {} : { bytes: expectText(String(bytes), `${at}.bytes`) }),
    ...(tags === undefined ? {} : { tags: expectCount(tags, `${at}.tags`) }),
  }
}

function parseRetention(item: unknown, index: number): RetentionRule {
  const at = `retention[${index}]`
  const { repositories, keepTags, keepMatching, keepWithin, keepPulledWithin, ...rest } = expectObject(
    item,
    at,
  )
  const [surplus] = Object.keys(rest)
  if (surplus !== undefined)
    throw new PolicyFileError(
      `${at} has repositories, keepTags, keepMatching, keepWithin and keepPulledWithin; "${surplus}" is unknown`,
    )
  return {
    repositories: expectText(repositories, `${at}.repositories`),
    ...(keepTags === undefined ? {} : { keepTags: expectCount(keepTags, `${at}.keepTags`) }),
    ...(keepMatching === undefined
      ? {}
      : {
          keepMatching: expectList(keepMatching, `${at}.keepMatching`).map((tags) =>
            expectText(tags, 'a pattern of tags'),
          ),
        }),
    ...(keepWithin === undefined ? {} : { keepWithin: expectText(keepWithin, `${at}.keepWithin`) }),
    ...(keepPulledWithin === undefined
      ? {}
      : { keepPulledWithin: expectText(keepPulledWithin, `${at}.keepPulledWithin`) }),
  }
}

function expectCount(value: unknown, name: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new PolicyFileError(`${name} is not a count`)
}

function expectObject(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>
  throw new PolicyFileError(`${name} is not an object`)
}

function expectList(value: unknown, name: string): unknown[] {
  if (Array.isArray(value)) return value
  throw new PolicyFileError(`${name} is not a list`)
}

function expectNumber(value: unknown, name: string): number {
  if (typeof value === 'number') return value
  throw new PolicyFileError(`${name} is not a number`)
}

function expectText(value: unknown, name: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw new PolicyFileError(`${name} is not a text`)
}
