/** Whether this host's clock agrees with those of the members. */
import { formatCount } from '../screen/output.ts'
import { type Check, type Finding, fault, fine, note } from './check.ts'

export function judgeClock(members: number, problem: string | undefined): Finding[] {
  if (problem !== undefined)
    return [fault(problem, 'run NTP on every host: timedatectl set-ntp true, or chrony')]
  if (members === 0) return [note('the clock cannot be compared: no member is connected')]
  return [fine(`the clock agrees with ${formatCount(members, 'member')}`)]
}

export const clock: Check = {
  name: 'clock',
  async examine({ node }) {
    if (node === undefined) return []
    return judgeClock(node.status.cluster.members.length, node.reach.clockProblem)
  },
}
