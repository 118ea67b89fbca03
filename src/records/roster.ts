/**
 * The roster: who may come, write and take, made of the policy and of the records about invitations, members and admissions.
 * It follows from these alone, so that nodes which have the same records have the same roster.
 *
 * Of the admissions of an invitation the first ones count, as many as it has uses, by the time that who let them in said: where
 * two sides that were apart let in more, those later by that time are guests again once the sides have met.
 */
import { parsePeerId, peerIdOf } from '../wire/wire.ts'
import type { InvitationValue, MemberValue } from './membership.ts'
import { authorOf, keyText, type RecordKey, type SignedRecord } from './record.ts'
import type { Rules } from './rules.ts'
import { compareTimes } from './time.ts'

export interface Invitation extends InvitationValue {
  id: string
  /** Who made it, as a peer id. */
  author: string
  /** Who came with it, as peer ids, the first first. */
  admitted: string[]
}

export interface RosterEntry {
  peer: string
  /** Whether it was let in: a node that is only named is still a guest where members have to be approved. */
  isApproved: boolean
  /** Since when it is held to be gone for good. */
  goneMs?: number
  /** Since it was let in, or named. */
  sinceMs: number
  name?: string
  site?: string
  /** The invitation by which it came. */
  invitation?: string
}

/**
 * Beyond these somebody who has an invitation and lies as a member has made them up: the invitation by which most came gives way, so
 * that others go on to let in.
 */
const maxAdmissions = 8192
/** As many members' words about one node are remembered: a proof is in a record, and whoever has it can say it again. */
const maxWords = 16

type AdmissionKey = Extract<RecordKey, { kind: 'admission' }>

const rosterKinds: ReadonlySet<RecordKey['kind']> = new Set(['invitation', 'member', 'admission'])

export function isOfRoster({ kind }: Pick<RecordKey, 'kind'>): boolean {
  return rosterKinds.has(kind)
}

export class Roster {
  readonly entries: ReadonlyMap<string, RosterEntry>
  readonly invitations: ReadonlyMap<string, Invitation>

  constructor(entries = new Map<string, RosterEntry>(), invitations = new Map<string, Invitation>()) {
    this.entries = entries
    this.invitations = invitations
  }

  isMember(peer: string): boolean {
    const entry = this.entries.get(peer)
    return entry?.isApproved === true && entry.goneMs === undefined
  }

  /** What a node wrote goes on to count when the node is gone. */
  mayWrite(author: Uint8Array): boolean {
    return this.entries.get(peerIdOf(author))?.isApproved === true
  }
}

/** What a record would have to say of a member for it to be what it is. */
export function memberValueOf(entry: RosterEntry | undefined): MemberValue {
  const { isApproved = false, sinceMs, goneMs, name } = entry ?? {}
  return {
    ...(isApproved && sinceMs !== undefined ? { approvedMs: sinceMs } : {}),
    ...(goneMs === undefined ? {} : { goneMs }),
    ...(name === undefined ? {} : { name }),
  }
}

/** The records that a roster is made of. */
export class RosterBook {
  readonly #records = new Map<string, SignedRecord>()
  #admissions = 0
  /** Their names in #records, by invitation. */
  readonly #byInvitation = new Map<string, Set<string>>()
  /** By invitation and newcomer, how many have said that it came. */
  readonly #words = new Map<string, number>()

  put(record: SignedRecord): void {
    const { key } = record
    const name = keyText(key)
    if (key.kind === 'admission' && !this.#records.has(name)) {
      if (this.#wordsOn(key) >= maxWords || !this.#makeRoom(key)) return
      this.#count(key, 1)
    }
    this.#records.set(name, record)
  }

  drop(key: RecordKey): void {
    if (this.#records.delete(keyText(key)) && key.kind === 'admission') this.#count(key, -1)
  }

  /** Whether there is room for one more. */
  #makeRoom({ invitation }: AdmissionKey): boolean {
    if (this.#admissions < maxAdmissions) return true
    const [most] = [...this.#byInvitation.values()].sort((a, b) => b.size - a.size)
    const own = this.#byInvitation.get(invitation)?.size ?? 0
    if (most === undefined || most.size <= own + 1) return false
    const last = this.#records.get([...most].at(-1) ?? '')
    if (last !== undefined) this.drop(last.key)
    return true
  }

  #wordsOn({ invitation, peer }: AdmissionKey): number {
    return this.#words.get(`${invitation}/${peer}`) ?? 0
  }

  #count(key: AdmissionKey, step: 1 | -1): void {
    const words = this.#wordsOn(key) + step
    const name = `${key.invitation}/${key.peer}`
    const names = this.#byInvitation.get(key.invitation) ?? new Set()
    if (step === 1) this.#byInvitation.set(key.invitation, names.add(keyText(key)))
    else names.delete(keyText(key))
    if (names.size === 0) this.#byInvitation.delete(key.invitation)
    this.#admissions += step
    if (words > 0) this.#words.set(name, words)
    else this.#words.delete(name)
  }

  records(): SignedRecord[] {
    return [...this.#records.values()]
  }

  /** As the rules have it; the roster of theirs is not looked at. */
  roster(rules: Rules): Roster {
    const entries = new Map<string, RosterEntry>()
    const invitations = new Map<string, Invitation>()
    const { members } = rules.value
    for (const founder of members?.founders ?? []) {
      const peer = peerIdOf(founder)
      entries.set(peer, { peer, isApproved: true, sinceMs: members?.since ?? 0 })
    }
    const records = this.records()
    for (const record of records) this.#read(record, rules, entries, invitations)
    const admissions = records.filter(({ key }) => key.kind === 'admission').sort(byTime)
    for (const record of admissions) admit(record, rules, entries, invitations)
    return new Roster(entries, invitations)
  }

  #read(
    { key, body, envelope }: SignedRecord,
    rules: Rules,
    entries: Map<string, RosterEntry>,
    invitations: Map<string, Invitation>,
  ): void {
    // What the authority of before signed stands until it is signed again.
    if (rules.signsAs(envelope.author) === undefined && !rules.wasAuthority(envelope.author)) return
    if (key.kind === 'invitation' && body.kind === 'invitation') {
      const author = peerIdOf(body.origin ?? envelope.author)
      invitations.set(key.id, { id: key.id, author, admitted: [], ...body.value })
    } else if (key.kind === 'member' && body.kind === 'member') {
      const { approvedMs, goneMs, name } = body.value
      const known = entries.get(key.peer)
      entries.set(key.peer, {
        peer: key.peer,
        isApproved: known?.isApproved === true || approvedMs !== undefined,
        sinceMs: approvedMs ?? known?.sinceMs ?? body.time[0],
        ...(goneMs === undefined ? {} : { goneMs }),
        ...(name === undefined ? {} : { name }),
      })
    }
  }
}

function admit(
  record: SignedRecord,
  rules: Rules,
  entries: Map<string, RosterEntry>,
  invitations: Map<string, Invitation>,
): void {
  const { key, body } = record
  if (key.kind !== 'admission' || body.kind !== 'admission') return
  const invitation = invitations.get(key.invitation)
  const isClosed = rules.value.members !== undefined
  const [ms] = body.time
  const { author } = record.envelope
  if (invitation === undefined || rules.isBanned(author) || ms > endOf(invitation)) return
  // Who let it in had to be in before: nobody comes by the word of a guest.
  const isSigned = rules.isAuthority(author) || rules.wasAuthority(author)
  const isIn = isSigned || entries.get(peerIdOf(authorOf(record)))?.isApproved === true
  if ((isClosed && !isIn) || invitation.admitted.length >= invitation.uses) return
  // By another's word as well: it came once.
  if (invitation.admitted.includes(key.peer)) return
  invitation.admitted.push(key.peer)
  const known = entries.get(key.peer)
  const { name, site } = body.value
  const sinceMs = known?.isApproved === true ? known.sinceMs : ms
  entries.set(key.peer, {
    peer: key.peer,
    isApproved: known?.isApproved === true || invitation.approvedMs !== undefined,
    sinceMs,
    invitation: invitation.id,
    ...(name === undefined ? {} : { name }),
    ...(site === undefined ? {} : { site }),
    ...(known?.name === undefined ? {} : { name: known.name }),
    ...(known?.goneMs === undefined ? {} : { goneMs: known.goneMs }),
  })
}

/** The moment from which an invitation lets nobody in. */
export function endOf({ expiresMs, revokedMs = Number.POSITIVE_INFINITY }: InvitationValue): number {
  return Math.min(expiresMs, revokedMs)
}

function byTime(a: SignedRecord, b: SignedRecord): number {
  return compareTimes(a.body.time, b.body.time) || (keyText(a.key) < keyText(b.key) ? -1 : 1)
}

/** Throws `MALFORMED`. */
export function foundersOf(peers: Iterable<string>): Uint8Array[] {
  return [...new Set(peers)].map(parsePeerId)
}
