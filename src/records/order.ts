/**
 * Which of two records for one key stands. For one policy this is a total order, so that ledgers that have seen the same
 * records hold the same ones, whatever came first.
 *
 * - Usually the newer time stands; of equal times the greater author, then the greater hash.
 * - For a tag under an immutable pattern the authority's records stand above all others, the newest first. Below them
 *   stand seals, the earliest *seal* first; below those the unsealed live records of others, the earliest first; below
 *   those what others wrote before the pattern was set, the newest first as ever, so that a deletion of that time holds;
 *   below those the tombstones of others.
 *
 * Why seals: whatever total order is made of what authors sign, either some record that can be signed later stands above
 * one that stands now, and a dishonest author signs that one (backdated, where the earliest counts); or none does, and then
 * neither of two pushes on two sides of a partition gives way, and nodes never agree. Who saw what first is known only to
 * those who were there, and members are no witnesses by number, as keys cost nothing. So the policy names *sealers*, of
 * which each seals such a tag when it first sees it: it signs the author's whole record again, with the time. A sealer is
 * trusted with the order alone: it can choose among what allowed authors signed, and invent nothing.
 *
 * What follows, for honest sealers: a sealed tag that was seen does not move while one sealer, or several that are
 * connected, see it first. Where two sealers on two sides of a partition sealed different pushes, the earlier seal stands
 * on both sides afterwards. Until a sealer has seen a tag, its earliest record stands, which a dishonest author can put
 * another before. test/records/order-model.test.ts explores this.
 */

import { authorOf, type SignedRecord } from './record.ts'
import type { Immutable, Rules } from './rules.ts'
import { compareTimes, type Time } from './time.ts'

/** True when `candidate` takes the place of `standing`. Never both ways round, and not for the same record. */
export function beats(candidate: SignedRecord, standing: SignedRecord, rules: Rules): boolean {
  const immutable = rules.immutable(candidate.key)
  if (immutable === undefined) return isLater(candidate, standing, writtenAt)
  const rank = rankOf(candidate, rules, immutable)
  const other = rankOf(standing, rules, immutable)
  if (rank !== other) return rank > other
  if (rank === sealed) return isLater(standing, candidate, sealedAt)
  return rank === earliestFirst
    ? isLater(standing, candidate, writtenAt)
    : isLater(candidate, standing, writtenAt)
}

/** A live immutable tag whose author may write it, and of which neither the authority nor a sealer has said that it stands. */
export function needsSeal(record: SignedRecord, rules: Rules): boolean {
  const { key, body, envelope } = record
  if (body.value === null || rules.immutable(key) === undefined) return false
  const stands =
    record.sealed === undefined ? rules.isAuthority(envelope.author) : rules.isSealer(envelope.author)
  if (rules.wasAuthority(envelope.author)) return false
  return !stands && rules.refusal(authorOf(record), key) === undefined
}

/** A seal whose sealer is no longer named keeps its place among seals; a banned sealer's word about time is worth nothing. */
export function sealTimeOf({ envelope, sealed }: SignedRecord, rules: Rules): number | undefined {
  return rules.isBanned(envelope.author) ? undefined : sealed?.ms
}

const sealed = 3
const earliestFirst = 2

function rankOf(record: SignedRecord, rules: Rules, immutable: Immutable): number {
  const { body, envelope } = record
  // What the authority of before signed keeps its place where it stood until the one of now has signed it again; nothing new of
  // it is taken. A seal that does not count is worth what it seals.
  const wasAuthority = rules.wasAuthority(envelope.author)
  if (record.sealed !== undefined && !wasAuthority && !rules.isSealer(envelope.author)) {
    return rankOf(record.sealed.original, rules, immutable)
  }
  if (record.sealed !== undefined) return sealed
  if (wasAuthority || rules.isAuthority(envelope.author)) return 4
  if (body.time[0] <= immutable.sinceMs) return 1
  return body.value === null ? 0 : earliestFirst
}

const writtenAt = ({ body }: SignedRecord): Time => body.time
const sealedAt = (record: SignedRecord): Time => [record.sealed?.ms ?? 0, 0]

function isLater(a: SignedRecord, b: SignedRecord, timeOf: (record: SignedRecord) => Time): boolean {
  const difference =
    compareTimes(timeOf(a), timeOf(b)) ||
    Buffer.compare(a.envelope.author, b.envelope.author) ||
    Buffer.compare(a.envelope.hash, b.envelope.hash)
  return difference > 0
}
