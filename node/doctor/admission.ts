/** Who may become a member, and who waits for it. */
import { printable } from '../screen/output.ts'
import { type Check, type Finding, fault, fine, note } from './check.ts'

export interface AdmissionFacts {
  mode: 'token' | 'approved'
  guests: { peer: string; name?: string; from: string }[]
  /** Why this node is no member yet, in words. */
  problem?: string
}

const maxListed = 5

export function judgeAdmission({ mode, guests, problem }: AdmissionFacts): Finding[] {
  const findings: Finding[] = [
    mode === 'approved'
      ? fine('members have to be approved ("members": "approved" in the policy)')
      : fine('whoever has the token becomes a member ("members": "token" in the policy)'),
  ]
  if (problem !== undefined)
    findings.push(
      fault(problem, 'approve it at a node that may (shoal member approve), or join with another token'),
    )
  if (guests.length === 0) return findings
  const listed = guests
    .slice(0, maxListed)
    .map(({ peer, name, from }) => `${peer}${name === undefined ? '' : ` (${printable(name)})`} from ${from}`)
  const more = guests.length > maxListed ? `, and ${guests.length - maxListed} more` : ''
  findings.push(
    note(
      `${guests.length === 1 ? 'a guest waits' : `${guests.length} guests wait`} to be approved: ${listed.join(', ')}${more}`,
      'shoal member approve PEER lets one in; shoal members lists them',
    ),
  )
  return findings
}

export const admission: Check = {
  name: 'admission',
  async examine({ node }) {
    if (node === undefined) return []
    const { membersMode, guests, admissionProblem } = node.reach
    return judgeAdmission({
      mode: membersMode,
      guests,
      ...(admissionProblem === undefined ? {} : { problem: admissionProblem }),
    })
  },
}
