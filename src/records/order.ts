/**
 * Which of two records for one key stands. For one policy this is a total order, so that ledgers that have seen the same
 * records hold the same ones, whatever came first.
 *
 * - Usually the newer time stands; of equal times the greater author, then the greater hash.
 * - For a tag under an immutable pattern the authority's records stand above all others, the newest first; below them
 *   stand the live records of others, the *earliest* first; below those the tombstones of others.
 *
 * What holds of immutable tags: honest nodes never move one, and of two pushes at once the earlier stands everywhere.
 * A dishonest author who may write the repository can still backdate a record below the standing one. So the node that
 * holds the authority key seals each such tag when it first sees it (signs it again), and a sealed tag stands.
 */
import type { Rules } from './policy.ts'
import type { SignedRecord } from './record.ts'
import { compareTimes } from './time.ts'

/** True when `candidate` takes the place of `standing`. Never both ways round, and not for the same record. */
export function beats(candidate: SignedRecord, standing: SignedRecord, rules: Rules): boolean {
  if (rules.immutable(candidate.key) === undefined) return isNewer(candidate, standing)
  const rank = rankOf(candidate, rules)
  const other = rankOf(standing, rules)
  if (rank !== other) return rank > other
  return rank === 1 ? isNewer(standing, candidate) : isNewer(candidate, standing)
}

function rankOf(record: SignedRecord, rules: Rules): number {
  if (rules.isAuthority(record.envelope.author)) return 2
  return record.body.value === null ? 0 : 1
}

function isNewer(a: SignedRecord, b: SignedRecord): boolean {
  const difference =
    compareTimes(a.body.time, b.body.time) ||
    Buffer.compare(a.envelope.author, b.envelope.author) ||
    Buffer.compare(a.envelope.hash, b.envelope.hash)
  return difference > 0
}
