/** Who fetches for the cluster: every node ranks the members alike, for each key otherwise, without a word being exchanged. */
import { hash } from 'node:crypto'

/**
 * The members, the one to turn to first at the front: rendezvous hashing ("highest random weight", Thaler and Ravishankar,
 * 1998). Who leaves moves only the keys that it ranked first for, each to its next; the order given does not matter.
 */
export function rankMembers(key: string, members: Iterable<string>): string[] {
  return [...new Set(members)]
    .map((member) => ({ member, weight: hash('sha256', `${member} ${key}`, 'hex') }))
    .sort((a, b) => (a.weight > b.weight ? -1 : 1))
    .map(({ member }) => member)
}
