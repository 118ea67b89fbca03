/**
 * Who may publish what. Only the authority signs a policy (which key that is, succession.ts says), and only the newest one counts: whether a record counts is
 * asked of the policy of now, never of the one at the record's own time, so backdating gains nothing.
 *
 * - The authority may write everything. A banned author may write nothing.
 * - Of `rules` the first whose pattern matches the repository decides: its authors may write there, others not. An
 *   empty list of authors leaves the authority alone. Where no rule matches, every member may write.
 * - Accounts are written by the authority and the `administrators` that it names, and by nobody else.
 * - `members: "approved"`: who is not on the roster (roster.ts) is a guest and writes nothing. Invitations and members are written
 *   like accounts, admissions by every member.
 * - `access` says what people may do. It decides about no record: a node asks it before it does what a client wants.
 * - `quotas` say what repositories may have, asked where a push is taken; `retention` which tags stay. Neither decides about a record.
 * - `placement` and `copies` say how many members hold what. They decide about no record either.
 * - In a repository of which some tags are immutable only the authority deletes manifests: a tag whose manifest can be taken
 *   away is not immutable, and which manifests those tags need is no question to a single record.
 * - A tag under an `immutable` pattern is written once; only the authority moves or deletes it. `sealers` say which of
 *   several records that others signed for such a tag came first (see order.ts); they write nothing themselves by that.
 */
import { excerpt, parseRepository } from '../oci/oci.ts'
import { MalformedError, parsePeerId, peerIdOf } from '../wire/wire.ts'
import { accessAgeText, accessAgeValue } from './access-age.ts'
import { type AccessRule, accessText, accessValue } from './access-rule.ts'
import { checkPlacement, type PlacementRule } from './placement-rule.ts'
import type { PolicyValue } from './policy-schema.ts'
import {
  type QuotaRule,
  quotaText,
  quotaValue,
  type RetentionRule,
  retentionText,
  retentionValue,
} from './room-rules.ts'
import { foundersOf } from './roster.ts'
import { type Recovery, readGrant } from './succession.ts'

/** A policy as people write it: patterns as in glob.ts, authors as peer ids. */
export interface Policy {
  rules: { repositories: string; authors: string[] }[]
  immutable: { repositories: string; tags: string }[]
  /** Members that seal immutable tags beside the authority. */
  sealers: string[]
  banned: string[]
  /** Members, or keys of no member, that may write accounts beside the authority; absent for none. */
  administrators?: string[]
  /** Who may do what with which repositories; absent where everybody may everything. */
  access?: AccessRule[]
  /** For how long `access` counts at a node that hears from no member, such as 24h; absent for ever. */
  accessMaxAge?: string
  /** Which keys may replace the authority's when it is lost, `need` of them together; absent for nobody. */
  recovery?: { keys: string[]; need: number }
  /** What repositories may have; absent for no limit. */
  quotas?: QuotaRule[]
  /** Which tags stay; absent for all of them. */
  retention?: RetentionRule[]
  /** How many members hold what, by the first rule that matches. */
  placement?: PlacementRule[]
  /** Of what was pushed and none of these matches; absent for 2. */
  copies?: number
  /** Whether a newcomer that has the token has to be approved as well; absent for `token`. */
  members?: MembersMode
}

export const membersModes = ['token', 'approved'] as const
export type MembersMode = (typeof membersModes)[number]

export const openPolicy: PolicyValue = { rules: [], immutable: [], banned: [] }

/**
 * All of it but `recovery`, which the authority signs apart. How the authority was handed over is no part of what people write,
 * and stays as it was. A pattern that `before` has as well stays immutable since then; a new one is so from `nowMs` on. Where members did
 * not have to be approved before and have to now, those `present` are. Throws `MALFORMED` for what is not a peer id or can match no
 * repository.
 */
export function policyValue(
  policy: Policy,
  before: PolicyValue,
  nowMs: number,
  present: Iterable<string> = [],
): PolicyValue {
  const { access = [], administrators = [], quotas = [], retention = [], placement = [], copies } = policy
  const named = [...policy.rules, ...policy.immutable, ...access, ...quotas, ...retention, ...placement]
  for (const { repositories } of named) checkPattern(repositories)
  checkPlacement(policy)
  return {
    rules: policy.rules.map(({ repositories, authors }, at) => ({
      repositories,
      authors: within(`rules[${at}].authors`, () => authors.map(parsePeerId)),
    })),
    immutable: policy.immutable.map(({ repositories, tags }) => {
      const known = before.immutable.find((old) => old.repositories === repositories && old.tags === tags)
      return { repositories, tags, since: known?.since ?? Math.floor(nowMs) }
    }),
    ...(policy.sealers.length === 0
      ? {}
      : { sealers: within('sealers', () => policy.sealers.map(parsePeerId)) }),
    banned: within('banned', () => policy.banned.map(parsePeerId)),
    ...(administrators.length === 0
      ? {}
      : { administrators: within('administrators', () => administrators.map(parsePeerId)) }),
    ...(access.length === 0
      ? {}
      : { access: access.map((rule, at) => within(`access[${at}]`, () => accessValue(rule))) }),
    ...(policy.accessMaxAge === undefined ? {} : { accessMaxAge: accessAgeValue(policy.accessMaxAge) }),
    ...(before.handovers === undefined ? {} : { handovers: before.handovers }),
    ...(quotas.length === 0
      ? {}
      : { quotas: quotas.map((rule, at) => within(`quotas[${at}]`, () => quotaValue(rule))) }),
    ...(retention.length === 0
      ? {}
      : { retention: retention.map((rule, at) => within(`retention[${at}]`, () => retentionValue(rule))) }),
    ...(placement.length === 0
      ? {}
      : { placement: placement.map(({ repositories, ...numbers }) => ({ at: repositories, ...numbers })) }),
    ...(copies === undefined ? {} : { copies }),
    ...(policy.members === 'approved'
      ? { members: before.members ?? { since: Math.floor(nowMs), founders: foundersOf(present) } }
      : {}),
  }
}

/** Throws `MALFORMED` for what is not a peer id. */
export function recoveryOf({ recovery }: Policy): Recovery | undefined {
  if (recovery === undefined) return undefined
  return { keys: within('recovery.keys', () => recovery.keys.map(parsePeerId)), need: recovery.need }
}

export function policyText(value: PolicyValue): Policy {
  return {
    rules: value.rules.map(({ repositories, authors }) => ({
      repositories,
      authors: authors.map(peerIdOf),
    })),
    immutable: value.immutable.map(({ repositories, tags }) => ({ repositories, tags })),
    sealers: (value.sealers ?? []).map(peerIdOf),
    banned: value.banned.map(peerIdOf),
    ...(value.administrators === undefined ? {} : { administrators: value.administrators.map(peerIdOf) }),
    ...(value.access === undefined ? {} : { access: value.access.map(accessText) }),
    ...(value.accessMaxAge === undefined ? {} : { accessMaxAge: accessAgeText(value.accessMaxAge) }),
    ...(value.recovery === undefined ? {} : { recovery: recoveryText(readGrant(value.recovery)) }),
    ...(value.quotas === undefined ? {} : { quotas: value.quotas.map(quotaText) }),
    ...(value.retention === undefined ? {} : { retention: value.retention.map(retentionText) }),
    ...(value.placement === undefined
      ? {}
      : { placement: value.placement.map(({ at, ...numbers }) => ({ repositories: at, ...numbers })) }),
    ...(value.copies === undefined ? {} : { copies: value.copies }),
    ...(value.members === undefined ? {} : { members: 'approved' }),
  }
}

function recoveryText({ keys, need }: Recovery): { keys: string[]; need: number } {
  return { keys: keys.map(peerIdOf), need }
}

/** Says in which part of a policy it is that something is wrong. */
function within<T>(part: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof MalformedError)) throw cause
    throw new MalformedError(`${part}: ${cause.message}`, { cause })
  }
}

/** A pattern that no name can match is a typing error, and one that would silently open or close nothing. */
function checkPattern(pattern: string): void {
  try {
    parseRepository(pattern.replaceAll('*', 'x'))
  } catch (cause) {
    throw new MalformedError(
      `"${excerpt(pattern)}" matches no repository; write a repository name, with * for any text without / and ** for any text`,
      { cause },
    )
  }
}
