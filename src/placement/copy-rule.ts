/** How many members are to hold an image: what the policy says, and what holds where it says nothing. */
import type { Repository } from '../oci/oci.ts'
import { matchesGlob, type PlacementKeys, type PlacementRule } from '../records/records.ts'

/** Of what was pushed, where the policy says nothing. */
const usualCopies = 2

/** The first rule that matches decides. What an upstream has need be nowhere for good, so only a rule asks for copies of it. */
export function copiesOf(
  policy: PlacementKeys,
  repository: Repository,
  { isMirrored = false }: { isMirrored?: boolean } = {},
): number {
  const rule = findRule(policy, repository)
  if (rule !== undefined) return rule.copies
  return isMirrored ? 1 : (policy.copies ?? usualCopies)
}

/** How many copies a push waits for, if a rule says that. */
export function ackOf(policy: PlacementKeys, repository: Repository): number | undefined {
  return findRule(policy, repository)?.ack
}

/** What asks for copies, in words. */
export function copyRuleText(policy: PlacementKeys, repository: Repository): string {
  const rule = findRule(policy, repository)
  if (rule !== undefined) return `the policy's placement of "${rule.repositories}"`
  return policy.copies === undefined ? 'the usual placement of what is pushed' : "the policy's copies"
}

function findRule({ placement = [] }: PlacementKeys, repository: Repository): PlacementRule | undefined {
  return placement.find(({ repositories }) => matchesGlob(repositories, repository))
}
