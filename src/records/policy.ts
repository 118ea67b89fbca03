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
import { matchesGlob } from './glob.ts'
import { checkPlacement, type PlacementRule } from './placement-rule.ts'
import type { PolicyValue } from './policy-schema.ts'
import { type RecordKey, type SignedRecord, sameBytes } from './record.ts'
import {
  type QuotaRule,
  quotaText,
  quotaValue,
  type RetentionRule,
  retentionText,
  retentionValue,
} from './room-rules.ts'
import { foundersOf, Roster } from './roster.ts'
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

const maxRemembered = 10_000

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

export interface Immutable {
  /** In words. */
  rule: string
  sinceMs: number
}

/** What lets an author write a name. */
export type Permission = 'rule' | 'no rule'

/** Who signs for the cluster: the authority everything, an administrator what the policy leaves to those. */
export type Signer = 'authority' | 'administrator'

/** A policy made ready to be asked often. */
export class Rules {
  readonly value: PolicyValue
  /** As peer ids. */
  readonly bannedPeers: ReadonlySet<string>
  /** Of the key that the token names, and of the one that governs now. */
  readonly root: Uint8Array
  readonly authority: Uint8Array
  readonly #former: Set<string>
  readonly roster: Roster
  readonly #banned: Set<string>
  readonly #sealers: Set<string>
  readonly #administrators: Set<string>
  readonly #allowed: Set<string>[]
  readonly #ruleOf = new Map<string, number>()

  /** `root` is the key that the token names. */
  constructor(value: PolicyValue, root: Uint8Array, roster = new Roster()) {
    const { handovers = [] } = value
    this.value = value
    this.root = root
    this.roster = roster
    this.authority = handovers.at(-1)?.to ?? root
    this.#former = new Set(handovers.map(({ from }) => name(from)))
    this.bannedPeers = new Set(value.banned.map(peerIdOf))
    this.#banned = new Set(value.banned.map(name))
    this.#sealers = new Set((value.sealers ?? []).map(name))
    this.#administrators = new Set((value.administrators ?? []).map(name))
    this.#allowed = value.rules.map(({ authors }) => new Set(authors.map(name)))
  }

  /** The same cluster's next policy. */
  with(value: PolicyValue): Rules {
    return new Rules(value, this.root, this.roster)
  }

  /** The same policy with another roster. */
  among(roster: Roster): Rules {
    return new Rules(this.value, this.root, roster)
  }

  isAuthority(author: Uint8Array): boolean {
    return sameBytes(author, this.authority)
  }

  /** Whether it was the authority until it was handed over: what it signed counts where it stood then, and nothing that comes. */
  wasAuthority(author: Uint8Array): boolean {
    return this.#former.size > 0 && this.#former.has(name(author))
  }

  isBanned(author: Uint8Array): boolean {
    return !this.isAuthority(author) && this.#banned.has(name(author))
  }

  /** Whether that peer may do nothing but be seen: members have to be approved, and it is not. */
  isGuest(peer: string): boolean {
    return this.value.members !== undefined && !this.roster.isMember(peer)
  }

  /** Whether `author` says which record of an immutable tag came first. */
  isSealer(author: Uint8Array): boolean {
    return this.isAuthority(author) || (this.#sealers.has(name(author)) && !this.isBanned(author))
  }

  /** As what a key signs for the cluster; `undefined` for one that speaks for itself alone. */
  signsAs(author: Uint8Array): Signer | undefined {
    if (this.isAuthority(author)) return 'authority'
    if (this.wasAuthority(author)) return undefined
    return this.#administrators.has(name(author)) && !this.isBanned(author) ? 'administrator' : undefined
  }

  /** As `refusalOf`, of a record that stands here: the authority of before signed it while it was that. */
  standingRefusalOf(record: SignedRecord): string | undefined {
    return this.wasAuthority(record.envelope.author) ? undefined : this.refusalOf(record)
  }

  /** Why a record does not count, in words: its author may not write it, or who sealed it may not seal. */
  refusalOf({ key, body, envelope, sealed }: SignedRecord): string | undefined {
    if (sealed === undefined) {
      // A member that has not heard of a handover cannot tell who the authority is, so nobody is to blame for it.
      if (body.origin !== undefined && !this.isAuthority(envelope.author))
        return `only the cluster authority signs in another's place, and ${peerIdOf(envelope.author)} is not it`
      return this.refusal(envelope.author, key, { isDeletion: 'value' in body && body.value === null })
    }
    if (!this.isSealer(envelope.author))
      return `${peerIdOf(envelope.author)} may not seal tags in this cluster`
    return this.refusal(sealed.original.envelope.author, key)
  }

  /** Whether the policy lists the author among those who publish, seal or write accounts. */
  names(author: Uint8Array): boolean {
    if (this.#administrators.has(name(author))) return true
    return this.#sealers.has(name(author)) || this.#allowed.some((authors) => authors.has(name(author)))
  }

  /** Why `author` may not write `key`, or delete it, in words; `undefined` when it may. */
  refusal(author: Uint8Array, key: RecordKey, { isDeletion = false } = {}): string | undefined {
    if (this.isAuthority(author)) return undefined
    if (key.kind === 'policy') return 'only the cluster authority may sign a policy'
    if (this.wasAuthority(author))
      return `${peerIdOf(author)} was the cluster's authority before it was handed over, and signs for it no more`
    if (this.isBanned(author)) return `${peerIdOf(author)} is banned from this cluster`
    if (key.kind === 'account' || key.kind === 'invitation' || key.kind === 'member') {
      if (this.signsAs(author) !== undefined) return undefined
      const what = key.kind === 'account' ? 'write accounts' : 'say who belongs to the cluster'
      return `only the cluster authority and administrators may ${what}, and ${peerIdOf(author)} is neither: do it where the authority's key is, or have the policy name that id in "administrators"`
    }
    if (this.value.members !== undefined && !this.roster.mayWrite(author))
      return `${peerIdOf(author)} is a guest of this cluster until it is approved (shoal member approve)`
    if (key.kind === 'admission')
      return this.roster.invitations.has(key.invitation) ? undefined : 'there is no such invitation'
    if (isDeletion && key.kind === 'manifest') {
      const needed = this.value.immutable.find(({ repositories }) =>
        matchesGlob(repositories, key.repository),
      )
      if (needed !== undefined) return manifestsStay(needed, key.repository)
    }
    const index = this.#findRule(key.repository)
    const rule = this.value.rules[index]
    if (rule === undefined || this.#allowed[index]?.has(name(author))) return undefined
    const who = rule.authors.length === 0 ? 'nobody but the cluster authority' : authorList(rule.authors)
    return `rule ${index + 1} of the policy lets ${who} publish to "${rule.repositories}", and ${peerIdOf(author)} is not among them`
  }

  /** Why `author` may write what has that name: a rule says so, or none says who may; `undefined` where it may not. */
  permission(author: Uint8Array, repository: string): Permission | undefined {
    if (this.isAuthority(author)) return 'rule'
    if (this.isBanned(author) || this.wasAuthority(author)) return undefined
    if (this.value.members !== undefined && !this.roster.mayWrite(author)) return undefined
    const index = this.#findRule(repository)
    if (index < 0) return 'no rule'
    return this.#allowed[index]?.has(name(author)) === true ? 'rule' : undefined
  }

  /** The first immutable pattern that `key` falls under. */
  immutable(key: RecordKey): Immutable | undefined {
    if (key.kind !== 'tag') return undefined
    const found = this.value.immutable.find(
      ({ repositories, tags }) => matchesGlob(repositories, key.repository) && matchesGlob(tags, key.tag),
    )
    return (
      found && { rule: `tags "${found.tags}" of "${found.repositories}" are immutable`, sinceMs: found.since }
    )
  }

  #findRule(repository: string): number {
    const known = this.#ruleOf.get(repository)
    if (known !== undefined) return known
    const index = this.value.rules.findIndex((rule) => matchesGlob(rule.repositories, repository))
    if (this.#ruleOf.size >= maxRemembered) this.#ruleOf.clear()
    this.#ruleOf.set(repository, index)
    return index
  }
}

function manifestsStay({ repositories, tags }: { repositories: string; tags: string }, repository: string) {
  return `tags "${tags}" of "${repositories}" are immutable, so only the cluster authority may delete manifests of ${repository}; delete tags that are not, and what nothing refers to any more goes in its time`
}

function name(author: Uint8Array): string {
  return Buffer.from(author.buffer, author.byteOffset, author.byteLength).toString('latin1')
}

function authorList(authors: Uint8Array[]): string {
  const shown = authors.slice(0, 3).map(peerIdOf)
  return authors.length > 3 ? `${shown.join(', ')} and ${authors.length - 3} more` : shown.join(', ')
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
