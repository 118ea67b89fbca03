/** What members are called: by their names where these tell them apart, else by the ends of their peer ids. */
import type { MemberFacts, StateEvent } from '../answers/live.ts'
import { shortPeer } from './format.ts'

export type NameOf = (peer: string) => string

export function nameMembers({ members, lost }: Pick<StateEvent, 'members' | 'lost'>): NameOf {
  const all = [...members, ...lost]
  const counts = new Map<string, number>()
  for (const { name } of all) if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1)
  const names = new Map(all.map((member) => [member.peer, textOf(member, counts)]))
  return (peer) => names.get(peer) ?? shortPeer(peer)
}

function textOf({ peer, name, isSelf }: MemberFacts, counts: Map<string, number>): string {
  if (name === undefined) return isSelf ? 'this node' : shortPeer(peer)
  // Several nodes of one host are called alike.
  return counts.get(name) === 1 ? name : `${name} ${shortPeer(peer)}`
}
