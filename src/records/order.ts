/**
 * Which of two records for one key stands. For one policy this is a total order, so that ledgers that have seen the same
 * records hold the same ones, whatever came first.
 *
 * - Usually the newer time stands; of equal times the greater author, then the greater hash.
 * - For a tag under an immutable pattern the authority's records stand above all others, the newest first. Below them
 *   stand the live records of others, the *earliest* first; below those what others wrote before the pattern was set, the
 *   newest first as ever, so that a deletion of that time holds; below those the tombstones of others.
 *
 * What holds of immutable tags: honest nodes never move one, and of two pushes at once the earlier stands everywhere.
 * A dishonest author who may write the repository can still backdate a record below the standing one. So the node that
 * holds the authority key seals each such tag when it first sees it (signs it again), and a sealed tag stands.
 */
import type { Immutable, Rules } from './policy.ts'
import type { SignedRecord } from './record.ts'
import { compareTimes } from './time.ts'

/** True when `candidate` takes the place of `standing`. Never both ways round, and not for the same record. */
export function beats(candidate: SignedRecord, standing: SignedRecord, rules: Rules): boolean {
  const immutable = rules.immutable(candidate.key)
  if (immutable === undefined) return isNewer(candidate, standing)
  const rank = rankOf(candidate, rules, immutable)
  const other = rankOf(standing, rules, immutable)
  if (rank !== other) return rank > other
  return rank === earliestFirst ? isNewer(standing, candidate) : isNewer(candidate, standing)
}

const earliestFirst = 2

function rankOf({ body, envelope }: SignedRecord, rules: Rules, { sinceMs }: Immutable): number {
  if (rules.isAuthority(envelope.author)) return 3
  if (body.time[0] <= sinceMs) return 1
  return body.value === null ? 0 : earliestFirst
}

function isNewer(a: SignedRecord, b: SignedRecord): boolean {
  const difference =
    compareTimes(a.body.time, b.body.time) ||
    Buffer.compare(a.envelope.author, b.envelope.author) ||
    Buffer.compare(a.envelope.hash, b.envelope.hash)
  return difference > 0
}
