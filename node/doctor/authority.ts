/** Whether one key governs the cluster, and which. */
import type { ClusterStatus } from '../operations/status.ts'
import { type Check, type Finding, fault, note } from './check.ts'

export function judgeAuthority({ governs, contested, idleKey }: ClusterStatus['authority']): Finding[] {
  const twice =
    contested === undefined
      ? []
      : [
          fault(
            `the authority was handed over twice, by ${contested.from}: this node follows ${governs}, and heard of ${contested.other}, too`,
            `where members follow another key than the others (shoal authority show), have them go with the right one: shoal authority follow PEER. A key that nobody of you made was made by somebody who has ${contested.from}. What the losing one signed is to be done anew. Where this node follows the right one, shoal authority follow ${governs} has it say so no more`,
          ),
        ]
  const idle =
    idleKey === undefined
      ? []
      : [
          note(
            `the key in the file authority, ${idleKey}, does not govern this cluster: ${governs} does`,
            'remove the file, or move it away where it is of a cluster that you still need',
          ),
        ]
  return [...twice, ...idle]
}

export const authority: Check = {
  name: 'authority',
  async examine({ node }) {
    return node === undefined ? [] : judgeAuthority(node.status.cluster.authority)
  },
}
