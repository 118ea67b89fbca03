/** A policy made ready to be asked often: what each key may sign, seal and write. What decides, policy.ts says. */
import { peerIdOf } from '../wire/wire.ts'
import { matchesGlob } from './glob.ts'
import type { PolicyValue } from './policy-schema.ts'
import { type RecordKey, type SignedRecord, sameBytes } from './record.ts'
import { Roster } from './roster.ts'

const maxRemembered = 10_000

export interface Immutable {
  /** In words. */
  rule: string
  sinceMs: number
}

/** What lets an author write a name. */
export type Permission = 'rule' | 'no rule'

/** Who signs for the cluster: the authority everything, an administrator what the policy leaves to those. */
export type Signer = 'authority' | 'administrator'

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
