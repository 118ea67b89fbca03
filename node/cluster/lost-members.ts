/** Members that were connected since this node started and are not now: who to look for when something is missing. */
import type { Clock } from '../../src/base/base.ts'
import type { Members } from '../../src/swarm/swarm.ts'

export interface LostMember {
  peer: string
  /** Since when it is not connected. */
  sinceMs: number
  /** Where it was last seen. */
  hosts: string[]
}

export interface LostMembers extends Disposable {
  list(): LostMember[]
}

const maxLost = 64
const maxSeen = 1024

export function watchLostMembers(
  members: Pick<Members, 'onChange' | 'hostsOf'>,
  isMissed: (peer: string) => boolean,
  clock: Clock,
): LostMembers {
  const lost = new Map<string, LostMember>()
  // Who has left cannot be asked where it was.
  const seen = new Map<string, string[]>()
  const unsubscribe = members.onChange(({ kind, peer }) => {
    lost.delete(peer)
    if (kind === 'join') remember(seen, peer, members.hostsOf(peer), maxSeen)
    else remember(lost, peer, { peer, sinceMs: clock.now(), hosts: seen.get(peer) ?? [] }, maxLost)
  })
  return {
    // Whom the policy bans is not missed, nor who is gone for good.
    list: () => [...lost.values()].filter(({ peer }) => isMissed(peer)),
    [Symbol.dispose]: unsubscribe,
  }
}

function remember<T>(map: Map<string, T>, key: string, value: T, most: number): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > most && oldest !== undefined) map.delete(oldest)
}
