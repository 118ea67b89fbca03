import { formatCount, formatDuration } from '../screen/output.ts'
import { type Check, type Finding, fault, fine, note } from './check.ts'

/** A copy that is on its way needs its time, on a slow line too. */
const patienceMs = 3_600_000
const maxListed = 3

type Short = {
  images: number
  list: readonly { repository: string; digest: string; held: number; wanted: number; sinceMs: number }[]
}

/** `members` without this node: one that is alone has nobody to bring a copy to. */
export function judgeCopies({ images, list }: Short, nowMs: number, members: number): Finding[] {
  const [oldest] = list
  if (images === 0 || oldest === undefined)
    return members === 0
      ? []
      : [fine('every image that this node answers for is at as many members as it is to be')]
  const shortMs = nowMs - oldest.sinceMs
  const such = list
    .slice(0, maxListed)
    .map(({ repository, digest, held, wanted }) => `${repository}@${digest} at ${held} of ${wanted}`)
  const found = `${formatCount(images, 'image')} ${images === 1 ? 'is at fewer members than it is' : 'are at fewer members than they are'} to be: ${such.join(', ')}, for ${formatDuration(shortMs)}`
  const advice =
    'see whether other members are connected and have room (shoal members; --max-disk and --min-free there); shoal status follows it'
  return [shortMs < patienceMs ? note(found, advice) : fault(found, advice)]
}

export const copies: Check = {
  name: 'copies',
  async examine({ node }) {
    if (node === undefined) return []
    const { short, nowMs, cluster } = node.status
    return judgeCopies(short, nowMs, cluster.members.length)
  },
}
